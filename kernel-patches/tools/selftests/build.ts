import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../../../common/cache.ts';
import { toolchain } from '../../../testbed/kernel/index.ts';
import { isStep, make } from '../../../testbed/kernel/make.ts';
import { diffOf, readSeries } from '../../../testbed/kernel/series.ts';
import { fetchSource, sourceAtHand, type KernelSource } from '../../../testbed/kernel/source.ts';
import { KernelTree } from '../../../testbed/kernel/tree.ts';
import { withLock } from '../../../common/lock.ts';
import type { Machine } from '../../../testbed/machine/machine.ts';
import { projectRoot } from '../../../common/paths.ts';
import { runProgram } from '../../../common/program.ts';
import type { Progress } from '../../../common/progress.ts';
import { nameOf, programsOf, suites, type Program, type Suite } from './programs.ts';

export interface SelftestBuild {
  machine: Machine;
  /** A source tree or a tarball; undefined = Debian's. */
  source: string | undefined;
  progress: Progress;
  signal: AbortSignal;
}

/** What the selftests link statically beside libc. */
const libraries = ['uuid-dev', 'libcap-dev'];

/**
 * Compiles selftests of the patched kernel, unless the cache has them. Returns the folder that they are in.
 * Throws E_KERNEL_SOURCE, E_KERNEL_BUILD, E_INTERRUPTED.
 */
export async function ensureSelftests({ machine, source: given, progress, signal }: SelftestBuild): Promise<string> {
  const { kernel } = machine;
  const programs = programsOf(kernel);
  const series = await readSeries();
  const built = join(cacheRoot(), 'selftests', kernel.arch);
  const compiler = await toolchain(kernel);
  const folderOf = ({ identity }: KernelSource): string =>
    join(built, contentKey(identity, compiler, ...programs.map(({ path }) => path), ...series.map(diffOf)));
  const known = await sourceAtHand(given);
  if (known !== null && (await inCache(folderOf(known)))) return folderOf(known);
  return withLock(
    join(cacheRoot(), 'locks', 'kernel-selftests'),
    async () => {
      const source = known ?? (await fetchSource(progress, signal));
      const folder = folderOf(source);
      if (await inCache(folder)) return folder;
      // Not the tree of the kernels: it changes between the variants, and has a build of its own architecture in it.
      const tree = new KernelTree(join(cacheRoot(), 'kernel-selftests'));
      await tree.bringTo(source, series, progress, signal);
      const scratch = await mkdtemp(join(tmpdir(), 'wcvmm-selftests-'));
      try {
        await compile({ tree: tree.path, scratch, machine, programs, progress, signal });
        await publish(folder, async (temporary) => {
          await mkdir(temporary);
          for (const program of programs)
            await copyFile(join(scratch, program.suite, program.path), join(temporary, nameOf(program)));
        });
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
      await sweepCache(built, 3);
      return folder;
    },
    { signal, onWait: () => progress.phase("waiting for another wcvmm that is compiling the kernel's selftests") },
  );
}

async function compile({
  tree,
  scratch,
  machine,
  programs,
  progress,
  signal,
}: Omit<SelftestBuild, 'source'> & { tree: string; scratch: string; programs: readonly Program[] }): Promise<void> {
  const { arch, crossCompile } = machine.kernel;
  progress.phase(`compiling the kernel's selftests for ${arch}`);
  let files = 0;
  const onLine = (line: string): void => {
    if (isStep(line) || line.includes('gcc ')) progress.update(`${(files += 1)} files`);
  };
  const common = { arch, crossCompile, env: {}, signal };
  const system = await unpackLibraries(machine.userland.debianArch, scratch, signal);
  await make({ ...common, tree }, [`O=${join(scratch, 'headers')}`, 'headers'], onLine);
  const variables = [
    `KHDR_INCLUDES=-isystem ${join(scratch, 'headers/usr/include')}`,
    // The machine's own libraries may be of another architecture.
    `USERCFLAGS=-idirafter ${join(system, 'usr/include')}`,
    `USERLDFLAGS=-static ${(await libraryFolders(system)).map((path) => `-L${path}`).join(' ')}`,
  ];
  for (const suite of new Set(programs.map((program) => program.suite))) {
    const output = join(scratch, suite);
    await mkdir(output);
    const targets = programs.filter((program) => program.suite === suite).map(({ path }) => join(output, path));
    await make(
      { ...common, tree: folderIn(tree, suite) },
      [`-j${availableParallelism()}`, `OUTPUT=${output}`, ...variables, ...targets],
      onLine,
    );
  }
}

function folderIn(tree: string, suite: Suite): string {
  return join(tree, 'tools/testing/selftests', suites[suite]);
}

async function unpackLibraries(debianArch: string, scratch: string, signal: AbortSignal): Promise<string> {
  const archives = join(scratch, 'debian');
  const system = join(scratch, 'system');
  await mkdir(archives);
  const failure = (tail: string, cause: unknown): WcvmmError =>
    new WcvmmError(
      'E_KERNEL_BUILD',
      `The Debian packages ${libraries.join(' and ')}, which the selftests are linked with, could not be fetched for ${debianArch}.\n${tail}`,
      { cause },
    );
  await runProgram(join(projectRoot, 'testbed/apt'), ['download', 'release', debianArch, archives, ...libraries], {
    signal,
    failure,
  });
  for (const archive of await readdir(archives))
    await runProgram('dpkg-deb', ['-x', join(archives, archive), system], { signal, failure });
  return system;
}

/** usr/lib and what is named there after the architecture. */
async function libraryFolders(system: string): Promise<string[]> {
  const lib = join(system, 'usr/lib');
  const entries = await readdir(lib, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(lib, name));
}
