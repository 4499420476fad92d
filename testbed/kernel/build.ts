import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WcvmmError } from '../../vmm/errors.ts';
import type { KernelTarget } from '../machine/machine.ts';
import { runProgram } from '../program.ts';
import type { Progress } from '../progress.ts';
import { unmetOptions } from './config.ts';

export interface Build {
  tree: string;
  target: KernelTarget;
  /** The text of the configuration fragment. */
  fragment: string;
  /** Appended to the kernel's version, as uname shows it. */
  localVersion: string;
  progress: Progress;
  signal: AbortSignal;
}

/** Configures and builds the tree; only what changed since its last build. Returns the image's path. */
export async function buildKernel(build: Build, title: string): Promise<string> {
  const { tree, target, progress } = build;
  await configure(build);
  progress.phase(title);
  let steps = 0;
  await make(build, [`-j${availableParallelism()}`, target.target], (line) => {
    // kbuild prints one such line for each file that it makes.
    if (!/^ {2}[A-Z]/.test(line)) return;
    steps += 1;
    progress.update(`${steps} files${steps > target.steps / 4 ? ` of about ${Math.max(steps, target.steps)}` : ''}`);
  });
  return join(tree, target.image);
}

async function configure(build: Build): Promise<void> {
  const dotConfig = join(build.tree, '.config');
  const fragmentCopy = join(build.tree, '.wcvmm-fragment');
  const text = `${build.fragment}\nCONFIG_LOCALVERSION="${build.localVersion}"\n`;
  await writeFile(fragmentCopy, text);
  await make(build, [`KCONFIG_ALLCONFIG=${fragmentCopy}`, 'allnoconfig']);
  const unmet = unmetOptions(text, await readFile(dotConfig, 'utf8'));
  if (unmet.length > 0)
    throw new WcvmmError('E_KERNEL_BUILD', `This Linux source does not give what ${build.target.config} asks for: ${unmet.join(', ')}. Name their dependencies in that file too.`);
}

async function make(build: Build, targets: string[], onLine: (line: string) => void = () => {}): Promise<void> {
  const { arch, crossCompile } = build.target;
  const errors: string[] = [];
  await runProgram('nice', ['make', '-C', build.tree, `ARCH=${arch}`, `CROSS_COMPILE=${crossCompile}`, ...targets], {
    signal: build.signal,
    // The same source gives the same image, whoever builds it and when; and a make above us has no say.
    env: { KBUILD_BUILD_TIMESTAMP: '@0', KBUILD_BUILD_USER: 'wcvmm', KBUILD_BUILD_HOST: 'testbed', KBUILD_BUILD_VERSION: '1', LC_ALL: 'C', MAKEFLAGS: undefined, MAKELEVEL: undefined },
    onLine: (line) => {
      if (/\berror\b|undefined reference/i.test(line) && errors.length < 20) errors.push(line);
      onLine(line);
    },
    failure: (tail, cause) => new WcvmmError('E_KERNEL_BUILD', `The kernel could not be built.\n${errors.length > 0 ? errors.join('\n') : tail}`, { cause }),
  });
}
