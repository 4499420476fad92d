import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import type { KernelTarget } from '../machine/machine.ts';
import type { Progress } from '../../common/progress.ts';
import { unmetOptions } from './config.ts';
import { isStep, make, type Make } from './make.ts';

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
  await make(makeFor(build), [`-j${availableParallelism()}`, target.target], (line) => {
    if (!isStep(line)) return;
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
  await make(makeFor(build), [`KCONFIG_ALLCONFIG=${fragmentCopy}`, 'allnoconfig']);
  const unmet = unmetOptions(text, await readFile(dotConfig, 'utf8'));
  if (unmet.length > 0)
    throw new WcvmmError(
      'E_KERNEL_BUILD',
      `This Linux source does not enable what ${build.target.config} asks for: ${unmet.join(', ')}. Add the options that these depend on to that file.`,
    );
}

function makeFor({ tree, target: { arch, crossCompile }, signal }: Build): Make {
  // The same source gives the same image, whoever builds it and when.
  const env = {
    KBUILD_BUILD_TIMESTAMP: '@0',
    KBUILD_BUILD_USER: 'wcvmm',
    KBUILD_BUILD_HOST: 'testbed',
    KBUILD_BUILD_VERSION: '1',
  };
  return { tree, arch, crossCompile, env, signal };
}
