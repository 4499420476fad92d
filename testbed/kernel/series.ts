import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import { isMutant, isPiece, type KernelTarget, type KernelVariant } from '../machine/machine.ts';
import { projectRoot } from '../../common/paths.ts';

export interface Patch {
  name: string;
  text: string;
}

export const patchesFolder = join(projectRoot, 'kernel-patches');

/** The series in its order, as kernel-patches/series lists it. */
export async function readSeries(): Promise<Patch[]> {
  try {
    const names = parseSeries(await readFile(join(patchesFolder, 'series'), 'utf8'));
    return await Promise.all(names.map(readPatch));
  } catch (cause) {
    throw new WcvmmError(
      'E_KERNEL_SOURCE',
      'The patch series in kernel-patches/ could not be read; restore it from the project, or use the stock kernel.',
      { cause },
    );
  }
}

/**
 * The patches of a variant, in their order. Throws E_USAGE for a variant that the architecture does not have,
 * E_KERNEL_SOURCE for patches that cannot be read.
 */
export async function patchesOf(variant: KernelVariant, target: KernelTarget): Promise<Patch[]> {
  if (isMutant(variant))
    return [...(await readSeries()), await readPatch(`${variant.replace('mutant-', 'mutants/')}.patch`)];
  if (isPiece(variant)) return readPieces(variant.slice('piece-'.length));
  switch (variant) {
    case 'stock':
    case 'debug-stock':
      return [];
    case 'wrong-type':
    case 'wrong-cacheable':
    case 'cacheable':
    case 'old-zap': {
      const name = target.testPatches[variant];
      if (name === undefined)
        throw new WcvmmError(
          'E_USAGE',
          `There is no ${variant} kernel for ${target.arch}: no patch in kernel-patches/test-only makes one.`,
        );
      return [...(await readSeries()), await readPatch(name)];
    }
    case 'patched':
    case 'debug':
    case '16k':
    case '64k':
      return readSeries();
  }
}

/**
 * What a variant that is compiled in another way configures on top, below kernel-patches/; null = nothing. The first of them
 * names its tree. Throws E_USAGE as `patchesOf`.
 */
export function variantConfigs(variant: KernelVariant, target: KernelTarget): readonly [string, ...string[]] | null {
  if (isMutant(variant) || isPiece(variant)) return null;
  switch (variant) {
    case 'stock':
    case 'patched':
    case 'wrong-type':
    case 'wrong-cacheable':
    case 'cacheable':
    case 'old-zap':
      return null;
    case 'debug':
    case 'debug-stock':
    case '16k':
    case '64k': {
      const configs = target.variantConfigs[variant];
      if (configs === undefined)
        throw new WcvmmError(
          'E_USAGE',
          `There is no ${variant} kernel for ${target.arch}; it is for: ${Object.keys(target.variantConfigs).join(', ')}.`,
        );
      return configs;
    }
  }
}

async function readPatch(name: string): Promise<Patch> {
  return { name, text: await readFile(join(patchesFolder, name), 'utf8') };
}

/** A piece of the series, and before it those that it is on. */
async function readPieces(name: string): Promise<Patch[]> {
  const below = (/^# On: (.+)$/m.exec(await readPiece(name))?.[1] ?? '')
    .split(' ')
    .filter((piece) => piece !== 'stock');
  const texts = await Promise.all([...below, name].map(readPiece));
  return Promise.all(texts.flatMap(parseSeries).map(readPatch));
}

async function readPiece(name: string): Promise<string> {
  return readFile(join(patchesFolder, 'pieces', name), 'utf8');
}

/** Names of a series file: one a line, "#" begins a comment. */
export function parseSeries(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
}

/** What a patch does to the tree: all of it but the message, whose number and date change with the series. */
export function diffOf(patch: Patch): string {
  return patch.text.slice(Math.max(0, patch.text.indexOf('\ndiff --git ')));
}

/**
 * What of `patches` a kernel can depend on. Their selftests and the documentation are left out: with a changed selftest, the kernel is
 * the same, byte for byte.
 */
export function kernelDiffsOf(patches: readonly Patch[]): string[] {
  return patches
    .flatMap((patch) => diffOf(patch).split(/^(?=diff --git )/m))
    .filter((diff) => {
      // Of a file that is only renamed or gets another mode, nothing else names it.
      const [, from, to] = /^diff --git a\/(\S+) b\/(\S+)$/m.exec(diff) ?? [];
      return from !== undefined && to !== undefined
        ? !notInKernel.test(from) || !notInKernel.test(to)
        : diff.trim() !== '';
    });
}

/** Not all of tools/: x86's build runs tools/objtool, and lib/test_bitmap.c includes a header of tools/testing/selftests. */
const notInKernel = /^(?:tools\/testing\/selftests\/(?:iommu|kvm|vfio)\/|Documentation\/.*\.rst$)/;

/** The files of the tree that a patch changes, adds or removes. */
export function touchedFiles(patch: string): string[] {
  const files = new Set<string>();
  for (const [, path] of patch.matchAll(/^(?:---|\+\+\+) [ab]\/(\S+)/gm)) if (path !== undefined) files.add(path);
  return [...files];
}
