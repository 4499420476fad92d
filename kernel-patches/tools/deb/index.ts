import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { cacheRoot } from '../../../common/cache.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { isStep, make, type Make } from '../../../testbed/kernel/make.ts';
import { readSeries, type Patch } from '../../../testbed/kernel/series.ts';
import { fetchSource, sourceAtHand } from '../../../testbed/kernel/source.ts';
import { KernelTree } from '../../../testbed/kernel/tree.ts';
import { withLock } from '../../../common/lock.ts';
import { progressOn, type Progress } from '../../../common/progress.ts';
import { adaptConfig, unmetNeeds, type Change } from './config.ts';
import { compilerPrefix, packageTarget, type PackageTarget } from './targets.ts';
import { checkTools } from './tools.ts';

export interface PackageRequest {
  /** One of packageArchitectures; undefined = this machine's. */
  arch?: string | undefined;
  /** The instance's own configuration; undefined = that of the kernel which runs here. */
  config?: string | undefined;
  /** A source tree or a tarball; undefined = Debian's. */
  linuxSource?: string | undefined;
  outputDir: string;
  /** Default: the series. */
  patches?: readonly Patch[] | undefined;
  /** Called once, before anything is compiled. */
  onChanges: (changes: readonly Change[], config: string) => void;
}

/**
 * Builds Debian packages of a kernel with the series. Returns the packages' paths in `outputDir`, where they appear together or not at all: the
 * image, and the headers unless it was cross-compiled.
 * Throws E_USAGE (the configuration), E_SETUP (a Debian package is missing), E_KERNEL_SOURCE, E_KERNEL_BUILD, E_INTERRUPTED.
 */
export async function buildPackages(request: PackageRequest): Promise<string[]> {
  const target = packageTarget(request.arch);
  const config = resolve(request.config ?? `/boot/config-${release()}`);
  const original = await readFile(config, 'utf8').catch((cause: unknown) => {
    throw new WcvmmError(
      'E_USAGE',
      `The kernel configuration ${config} cannot be read; copy /boot/config-* of the instance here and give it with --config.`,
      { cause },
    );
  });
  const { text, changes } = adaptConfig(original, target, config);
  checkTools(target);
  const progress = progressOn(process.stderr);
  return interruptible(async (signal) => {
    try {
      // Not the testbed's tree: another configuration would have everything there compiled again.
      const folder = join(cacheRoot(), 'kernel-deb', target.arch);
      return await withLock(
        join(cacheRoot(), 'locks', `kernel-deb-${target.arch}`),
        async () => {
          const source = (await sourceAtHand(request.linuxSource)) ?? (await fetchSource(progress, signal));
          const tree = new KernelTree(folder, 'all');
          await tree.bringTo(source, request.patches ?? (await readSeries()), progress, signal);
          const kernelMake = makeFor(tree.path, target, signal);
          await configure(kernelMake, text, target);
          progress.done();
          request.onChanges(changes, config);
          await compile(kernelMake, progress);
          return moveToOutput(dirname(tree.path), request.outputDir, signal);
        },
        { signal, onWait: () => progress.phase('waiting for another wcvmm that is building kernel packages') },
      );
    } finally {
      progress.done();
    }
  });
}

function makeFor(tree: string, target: PackageTarget, signal: AbortSignal): Make {
  const crossCompile = compilerPrefix(target);
  // The headers package holds programs of the target's, which take the target's libraries to link.
  const profiles = crossCompile === '' ? '' : 'pkg.linux-upstream.nokernelheaders';
  return {
    tree,
    arch: target.arch,
    crossCompile,
    env: { KDEB_CHANGELOG_DIST: 'unstable', DEB_BUILD_PROFILES: profiles, DEB_BUILD_OPTIONS: '' },
    signal,
  };
}

async function configure(kernelMake: Make, text: string, target: PackageTarget): Promise<void> {
  const dotConfig = join(kernelMake.tree, '.config');
  await writeFile(dotConfig, text);
  await make(kernelMake, ['olddefconfig']);
  const unmet = unmetNeeds(await readFile(dotConfig, 'utf8'), target);
  if (unmet.length > 0)
    throw new WcvmmError(
      'E_KERNEL_BUILD',
      `Linux drops options that wcvmm needs from this configuration: ${unmet.join(', ')}. Enable what they depend on in the file that you give with --config, and try again.`,
    );
}

async function compile(kernelMake: Make, progress: Progress): Promise<void> {
  await removePackages(dirname(kernelMake.tree));
  progress.phase(`building the ${kernelMake.arch} kernel packages`);
  let steps = 0;
  await make(kernelMake, [`-j${availableParallelism()}`, 'bindeb-pkg'], (line) => {
    if (isStep(line)) progress.update(`${(steps += 1)} files`);
  });
}

/** bindeb-pkg writes beside its tree: the packages, and files for an upload to an archive, which is not made here. */
async function removePackages(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (/\.(?:deb|changes|buildinfo)$/.test(name)) await rm(join(folder, name));
}

async function moveToOutput(folder: string, outputDir: string, signal: AbortSignal): Promise<string[]> {
  // The third package, linux-libc-dev, would take the place of the instance's own headers of libc.
  const names = (await readdir(folder))
    .filter((name) => /^linux-(?:image|headers)-.*\.deb$/.test(name))
    .sort()
    .reverse();
  if (names.length === 0)
    throw new WcvmmError(
      'E_KERNEL_BUILD',
      `The kernel's bindeb-pkg made no package in ${folder}; give a Linux source that has it with --linux-source.`,
    );
  await mkdir(outputDir, { recursive: true });
  const scratch = await mkdtemp(join(outputDir, '.wcvmm-'));
  try {
    for (const name of names) {
      signal.throwIfAborted();
      await copyFile(join(folder, name), join(scratch, name));
    }
    signal.throwIfAborted();
    for (const name of names) await rename(join(scratch, name), join(outputDir, name));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  await removePackages(folder);
  return names.map((name) => resolve(outputDir, name));
}
