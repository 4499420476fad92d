/** Whether each piece of the series (kernel-patches/pieces) works without those that it does not name: compiled, booted, and by its selftests. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { patchesFolder, patchesOf, readSeries, type Patch } from '../../../testbed/kernel/series.ts';
import { machineOf } from '../../../testbed/machine/index.ts';
import { runSelftests } from '../selftests/index.ts';
import { nameOf, selftestsOf, suites, type Program } from '../selftests/programs.ts';

export interface PieceResult {
  readonly piece: string;
  readonly passed: number;
  readonly skipped: number;
  /** What failed, program and test. */
  readonly failed: readonly string[];
}

/** Their names, in the order in which they are posted. */
export async function readPieceNames(): Promise<readonly string[]> {
  const names = await readdir(join(patchesFolder, 'pieces'));
  return names.filter((name) => /^[A-Z]-[\w-]+$/.test(name)).toSorted();
}

/** `programs` without those that the series adds by patches which are not among `patches`: they test what is not there. */
export function programsFor(
  programs: readonly Program[],
  patches: readonly Patch[],
  series: readonly Patch[],
): readonly Program[] {
  const here = new Set(patches.map(({ name }) => name));
  const absent = new Set(
    series
      .filter(({ name }) => !here.has(name))
      .flatMap(({ text }) => [...text.matchAll(/^--- \/dev\/null\n\+\+\+ b\/(\S+)$/gm)].map(([, file]) => file)),
  );
  return programs.filter(({ suite, path }) => !absent.has(`tools/testing/selftests/${suites[suite]}/${path}.c`));
}

/**
 * Builds and boots the kernel of each piece, or of those that are named, and runs on it the selftests of VFIO and KVM that are in Linux
 * or in the piece. `onResult` is told each result as it comes. Throws E_USAGE, E_KERNEL_SOURCE, E_KERNEL_BUILD, E_TESTBED, E_INTERRUPTED.
 */
export async function runPieces(
  arch: string,
  only: readonly string[] | undefined,
  onResult: (result: PieceResult) => void,
): Promise<readonly PieceResult[]> {
  const names = await readPieceNames();
  const unknown = only?.filter((name) => !names.includes(name)) ?? [];
  if (unknown.length > 0)
    throw new WcvmmError('E_USAGE', `There is no piece ${unknown.join(', ')}; there is: ${names.join(', ')}.`);
  const { programs } = selftestsOf(arch);
  const series = await readSeries();
  const all: PieceResult[] = [];
  for (const piece of names.filter((name) => only?.includes(name) ?? true)) {
    const kernel = `piece-${piece}` as const;
    const patches = await patchesOf(kernel, machineOf(arch).kernel);
    const planned = programsFor(programs, patches, series).filter(({ suite }) => suite !== 'iommufd');
    const [run] = await runSelftests({ arch, kernels: [kernel], programs: planned.map(nameOf) });
    const results = run?.results ?? [];
    const result = {
      piece,
      passed: results.filter(({ status }) => status === 'pass').length,
      skipped: results.filter(({ status }) => status === 'skip').length,
      failed: results
        .filter(({ status }) => status === 'fail')
        .map(({ program, test }) => (test === null ? program : `${program} ${test}`)),
    };
    onResult(result);
    all.push(result);
  }
  return all;
}
