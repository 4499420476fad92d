import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../vmm/errors.ts';
import { projectRoot } from '../paths.ts';

export interface Patch {
  name: string;
  text: string;
}

export const patchesFolder = join(projectRoot, 'kernel-patches');

/** The series in its order, as kernel-patches/series lists it. */
export async function readSeries(): Promise<Patch[]> {
  try {
    const names = parseSeries(await readFile(join(patchesFolder, 'series'), 'utf8'));
    return await Promise.all(names.map(async (name) => ({ name, text: await readFile(join(patchesFolder, name), 'utf8') })));
  } catch (cause) {
    throw new WcvmmError('E_KERNEL_SOURCE', 'The patch series in kernel-patches/ could not be read; restore it from the project, or use the stock kernel.', { cause });
  }
}

/** Names of a series file: one a line, "#" begins a comment. */
export function parseSeries(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
}

/** The files of the tree that a patch changes, adds or removes. */
export function touchedFiles(patch: string): string[] {
  const files = new Set<string>();
  for (const [, path] of patch.matchAll(/^(?:---|\+\+\+) [ab]\/(\S+)/gm)) if (path !== undefined) files.add(path);
  return [...files];
}
