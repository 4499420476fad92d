import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { temporaryFolder } from '../../common/temporary.ts';
import { WcvmmError } from '../../common/errors.ts';
import { cacheRoot, contentKey, publish } from '../../common/cache.ts';
import { projectRoot } from '../../common/paths.ts';
import { runProgram } from '../../common/program.ts';
import type { Progress } from '../../common/progress.ts';

/** Where an unpatched Linux tree comes from. The same `identity` means the same files. */
export type KernelSource =
  { kind: 'archive'; identity: string; path: string } | { kind: 'folder'; identity: string; path: string };

/** Debian's package of the kernel that the series is made for, and the suite that has it. */
const sourcePackage = 'linux-source-7.3';
const sourceSuite = 'trixie-backports';

/** Headers of one GPU driver, a third of the tree, which the testbed's kernels never compile. */
const rarelyNeeded = ['drivers/gpu/drm/amd/include/asic_reg'];

/** How much of a tarball is unpacked: for a configuration that may name any driver, all of it. */
export type Extent = 'all' | 'testbed';

const folder = (): string => join(cacheRoot(), 'linux-source');

/** The source that needs no download: the one given, or what an earlier run fetched; null if there is none. */
export async function sourceAtHand(given: string | undefined): Promise<KernelSource | null> {
  if (given !== undefined) return givenSource(resolve(given));
  const names = await readdir(folder()).catch(() => []);
  const found = names
    .filter((name) => /^[^.].*\.tar\.xz$/.test(name))
    .sort()
    .at(-1);
  return found === undefined ? null : { kind: 'archive', identity: found, path: join(folder(), found) };
}

async function givenSource(path: string): Promise<KernelSource> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new WcvmmError(
      'E_KERNEL_SOURCE',
      `The Linux source ${path} cannot be read; give a source tree or a tarball of one.`,
      { cause },
    );
  });
  if (!found.isDirectory()) return { kind: 'archive', identity: `sha256 ${await sha256OfFile(path)}`, path };
  const makefile = await readFile(join(path, 'Makefile'), 'utf8').catch(() => '');
  if (!/^PATCHLEVEL = \d/m.test(makefile))
    throw new WcvmmError(
      'E_KERNEL_SOURCE',
      `${path} is not a Linux source tree: it has no Makefile with a kernel version.`,
    );
  return { kind: 'folder', identity: await fingerprint(path), path };
}

/** Fetches Debian's source package through a private package list. Returns the tarball in the cache. */
export async function fetchSource(progress: Progress, signal: AbortSignal): Promise<KernelSource> {
  progress.phase(`fetching ${sourcePackage} from Debian ${sourceSuite}`);
  const scratch = await temporaryFolder('linux');
  try {
    await runProgram(join(projectRoot, 'testbed/apt'), ['download', sourceSuite, 'all', scratch, sourcePackage], {
      signal,
      failure: (tail, cause) =>
        new WcvmmError(
          'E_KERNEL_SOURCE',
          `Debian's ${sourcePackage} could not be fetched; --linux-source takes a tree or tarball instead.\n${tail}`,
          { cause },
        ),
    });
    const archive = (await readdir(scratch)).find((name) => name.endsWith('.deb'));
    if (archive === undefined)
      throw new WcvmmError(
        'E_KERNEL_SOURCE',
        `apt fetched no ${sourcePackage}; --linux-source takes a tree or tarball instead.`,
      );
    await mkdir(join(scratch, 'out'));
    await runProgram('dpkg-deb', ['-x', join(scratch, archive), join(scratch, 'out')], {
      signal,
      failure: unpackFailure(archive),
    });
    const identity = `${archive.replace(/_all\.deb$/, '')}.tar.xz`;
    const path = await publish(join(folder(), identity), async (temporary) => {
      // Copied, not renamed: the scratch folder may be on another file system.
      await runProgram('cp', [join(scratch, 'out/usr/src', `${sourcePackage}.tar.xz`), temporary], {
        signal,
        failure: unpackFailure(archive),
      });
    });
    return { kind: 'archive', identity, path };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Makes `into` an unpatched, clean tree of `source`. */
export async function unpack(
  source: KernelSource,
  into: string,
  extent: Extent,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  progress.phase('unpacking the Linux source');
  await mkdir(into);
  const failure = unpackFailure(source.path);
  if (source.kind === 'archive') {
    const excluded = (extent === 'all' ? [] : rarelyNeeded).flatMap((path) => ['--exclude', `*/${path}/*`]);
    await runProgram('tar', ['-xf', source.path, '-C', into, '--strip-components=1', ...excluded], { signal, failure });
  } else {
    await runProgram('cp', ['-a', `${source.path}/.`, into], { signal, failure });
    await rm(join(into, '.git'), { recursive: true, force: true });
    await runProgram('make', ['-C', into, 'mrproper'], { signal, failure });
  }
}

function unpackFailure(what: string): (tail: string, cause: unknown) => WcvmmError {
  return (tail, cause) =>
    new WcvmmError('E_KERNEL_SOURCE', `${what} could not be unpacked into a Linux source tree.\n${tail}`, { cause });
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Names, sizes and times of a tree's files, whatever of them git or make left there aside. */
async function fingerprint(root: string): Promise<string> {
  const lines: string[] = [];
  const visit = async (below: string): Promise<void> => {
    const entries = await readdir(join(root, below), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(below, entry.name);
      if (entry.isDirectory() && entry.name !== '.git') await visit(path);
      if (!entry.isFile() || !/(?:\.[chS]|Kconfig\w*|Makefile|Kbuild)$/.test(entry.name)) continue;
      const { size, mtimeMs } = await stat(join(root, path));
      lines.push(`${path} ${size} ${mtimeMs}`);
    }
  };
  await visit('');
  return `folder ${contentKey(...lines)}`;
}
