/**
 * Whether the selftests of the series can fail. Each patch in kernel-patches/mutants cuts a part of the series out and names, in its
 * message, the selftests that must notice ("Fails:") and the kernels that it is for ("Architectures:").
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { patchesFolder } from '../../../testbed/kernel/series.ts';
import { machineOf } from '../../../testbed/machine/index.ts';
import { runSelftests } from '../selftests/index.ts';

export interface MutantPatch {
  readonly name: string;
  /** Selftests; each must fail on this kernel. */
  readonly fails: readonly string[];
  /** Kernel architectures. */
  readonly architectures: readonly string[];
}

export interface MutantResult {
  readonly mutant: string;
  readonly selftest: string;
  /** Names of its tests that failed; empty = the selftest did not notice. */
  readonly failed: readonly string[];
}

/** Throws E_KERNEL_SOURCE for a patch that does not say what must fail, and where. */
export function parseMutant(name: string, text: string): MutantPatch {
  const words = (field: string): string[] =>
    new RegExp(`^${field}: (.+)$`, 'm')
      .exec(text)?.[1]
      ?.split(' ')
      .filter((word) => word !== '') ?? [];
  const [fails, architectures] = [words('Fails'), words('Architectures')];
  if (fails.length === 0 || architectures.length === 0)
    throw new WcvmmError(
      'E_KERNEL_SOURCE',
      `kernel-patches/mutants/${name}.patch must have a line "Fails: SELFTEST…" and a line "Architectures: ARCH…" in its message.`,
    );
  return { name, fails, architectures };
}

export async function readMutants(): Promise<readonly MutantPatch[]> {
  const folder = join(patchesFolder, 'mutants');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.patch')).toSorted();
  return Promise.all(
    names.map(async (name) => parseMutant(name.slice(0, -'.patch'.length), await readFile(join(folder, name), 'utf8'))),
  );
}

/**
 * Builds the kernels of all mutants that `arch` has, or of those that are named, and runs on each the selftests that must fail there.
 * `onResult` is told each result as it comes. Throws E_USAGE, E_KERNEL_SOURCE, E_KERNEL_BUILD, E_TESTBED, E_INTERRUPTED.
 */
export async function runMutants(
  arch: string,
  only: readonly string[] | undefined,
  onResult: (result: MutantResult) => void,
): Promise<readonly MutantResult[]> {
  const target = machineOf(arch).kernel.arch;
  const mutants = (await readMutants()).filter(({ architectures }) => architectures.includes(target));
  const unknown = only?.filter((name) => !mutants.some((mutant) => mutant.name === name)) ?? [];
  if (unknown.length > 0)
    throw new WcvmmError(
      'E_USAGE',
      `There is no mutant ${unknown.join(', ')} for ${arch}; there is: ${mutants.map(({ name }) => name).join(', ')}.`,
    );
  const all: MutantResult[] = [];
  for (const { name, fails } of mutants.filter((mutant) => only?.includes(mutant.name) ?? true))
    for (const selftest of fails) {
      const result = { mutant: name, selftest, failed: await failuresOn(arch, name, selftest) };
      onResult(result);
      all.push(result);
    }
  return all;
}

async function failuresOn(arch: string, mutant: string, selftest: string): Promise<readonly string[]> {
  try {
    const [run] = await runSelftests({ arch, kernels: [`mutant-${mutant}`], programs: [selftest] });
    return [...new Set(run?.results.filter(({ status }) => status === 'fail').map(({ test }) => test ?? selftest))];
  } catch (error) {
    // A kernel that the selftest brings down has been noticed.
    if (error instanceof WcvmmError && error.code === 'E_TESTBED' && error.message.includes('did not survive'))
      return ['the kernel did not survive'];
    throw error;
  }
}
