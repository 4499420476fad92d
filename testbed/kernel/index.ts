import { copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../../common/cache.ts';
import { withLock } from '../../common/lock.ts';
import { outputOf } from '../../common/program.ts';
import {
  isMutant,
  isPiece,
  type KernelTarget,
  type KernelVariant,
  type Mutant,
  type Piece,
} from '../machine/machine.ts';
import type { Progress } from '../../common/progress.ts';
import { buildKernel } from './build.ts';
import { kernelDiffsOf, patchesFolder, patchesOf, variantConfigs, type Patch } from './series.ts';
import { fetchSource, sourceAtHand, type KernelSource } from './source.ts';
import { KernelTree } from './tree.ts';

export interface KernelRequest {
  target: KernelTarget;
  variant: KernelVariant;
  /** A source tree or a tarball; undefined = Debian's. */
  source?: string | undefined;
  progress: Progress;
  signal: AbortSignal;
}

/**
 * The image of the testbed's kernel, built unless the cache has it. Returns its path.
 * Throws E_KERNEL_SOURCE (no source, a patch that does not apply), E_KERNEL_BUILD, E_INTERRUPTED.
 */
export async function ensureKernel(request: KernelRequest): Promise<string> {
  const { target, variant } = request;
  const configs = variantConfigs(variant, target);
  const fragment = await fragmentOf(variant, target);
  const patches = await patchesOf(variant, target);
  const images = join(cacheRoot(), 'kernel', target.arch);
  const compiler = await toolchain(target);
  const imageOf = (source: KernelSource, with_: readonly Patch[]): string =>
    join(images, `${contentKey(source.identity, fragment, compiler, ...kernelDiffsOf(with_))}.Image`);

  const known = await sourceAtHand(request.source);
  if (known !== null && (await inCache(imageOf(known, patches)))) return imageOf(known, patches);

  // With another configuration everything is compiled again: in a tree of its own, neither has to be done twice.
  const treeName = configs === null ? target.arch : `${target.arch}-${basename(configs[0], '.config')}`;
  const treeFolder = join(cacheRoot(), 'kernel-tree', treeName);
  const lock = join(cacheRoot(), 'locks', `kernel-${treeName}`);
  return withLock(
    lock,
    async () => {
      const source = (await sourceAtHand(request.source)) ?? (await fetchSource(request.progress, request.signal));
      const tree = new KernelTree(treeFolder);
      const image = imageOf(source, patches);
      if (await inCache(image)) return image;
      await tree.bringTo(source, patches, request.progress, request.signal);
      const built = await buildKernel(
        {
          ...request,
          tree: tree.path,
          fragment,
          localVersion: isMutant(variant) || isPiece(variant) ? `-wcvmm-${variant}` : localVersions[variant],
        },
        `building the ${variant} ${target.arch} kernel`,
      );
      await publish(image, (temporary) => copyFile(built, temporary));
      await sweepCache(images, 40);
      return image;
    },
    {
      signal: request.signal,
      onWait: () => request.progress.phase('waiting for another wcvmm that is building a kernel'),
    },
  );
}

/** The text of all that configures a variant. Throws E_USAGE as `variantConfigs`. */
async function fragmentOf(variant: KernelVariant, target: KernelTarget): Promise<string> {
  const configs = variantConfigs(variant, target);
  const series = variant === 'stock' ? [] : [target.seriesConfig];
  const names = [target.config, ...(configs ?? series)];
  return (await Promise.all(names.map(async (name) => readFile(join(patchesFolder, name), 'utf8')))).join('\n');
}

/** Appended to the kernel's version, as uname shows it. */
const localVersions: Readonly<Record<Exclude<KernelVariant, Mutant | Piece>, string>> = {
  stock: '',
  patched: '-wcvmm',
  'wrong-type': '-wcvmm-wrong-type',
  'wrong-cacheable': '-wcvmm-wrong-cacheable',
  cacheable: '-wcvmm-cacheable',
  'old-zap': '-wcvmm-old-zap',
  debug: '-wcvmm-debug',
  'debug-stock': '-debug',
  '16k': '-wcvmm-16k',
  '64k': '-wcvmm-64k',
};

/** The first line of what the compiler says of itself. Throws E_SETUP without one. */
export async function toolchain(target: KernelTarget): Promise<string> {
  const compiler = `${target.crossCompile}gcc`;
  const version = (await outputOf(compiler, ['--version']))?.stdout.split('\n')[0];
  if (version === undefined || version === '')
    throw new WcvmmError('E_SETUP', `${compiler} is not installed; testbed/setup installs it.`);
  return version;
}
