import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { runInTestbed } from '../../../testbed/index.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { patchesFolder } from '../../../testbed/kernel/series.ts';
import { machineOf } from '../../../testbed/machine/index.ts';
import type { KernelVariant } from '../../../testbed/machine/machine.ts';
import { progressOn, type Progress } from '../../../common/progress.ts';
import { ensureSelftests } from './build.ts';
import { selftestsOf, nameOf, runsOn, type Program, type Suite } from './programs.ts';
import { Transcript, type Result } from './transcript.ts';

export interface SelftestRequest {
  /** One of testbed/machine/names.ts. */
  arch: string;
  kernels: readonly KernelVariant[];
  /** Undefined = all. */
  suites?: readonly Suite[] | undefined;
  /** Names of programs; undefined = all. */
  programs?: readonly string[] | undefined;
  /** The emulator's name of a CPU model instead of its most capable one. */
  cpu?: string | undefined;
  /** A Linux source tree or tarball instead of Debian's. */
  linuxSource?: string | undefined;
  /** Where all output of the programs and all kernel logs go, one file for each kernel: ARCH-VARIANT.log. */
  outputDir?: string | undefined;
}

export interface KernelResults {
  readonly kernel: KernelVariant;
  readonly results: readonly Result[];
}

/**
 * Runs the kernel's own selftests, those of the patched tree, on each of `kernels` in a testbed of `arch`.
 * Throws E_USAGE, E_KERNEL_SOURCE, E_KERNEL_BUILD, E_TESTBED (an instance that does not come to the end), E_INTERRUPTED.
 */
export async function runSelftests(request: SelftestRequest): Promise<KernelResults[]> {
  const machine = machineOf(request.arch);
  const available = selftestsOf(request.arch);
  const programs = available.programs.filter(
    (program) =>
      (request.suites?.includes(program.suite) ?? true) && (request.programs?.includes(nameOf(program)) ?? true),
  );
  const unknown =
    request.programs?.filter((name) => !available.programs.some((program) => nameOf(program) === name)) ?? [];
  if (programs.length === 0 || unknown.length > 0)
    throw new WcvmmError(
      'E_USAGE',
      `There is no selftest ${unknown.length > 0 ? unknown.join(', ') : 'of that suite'} for ${request.arch}; there is: ${available.programs.map(nameOf).join(', ')}.`,
    );
  const progress = progressOn(process.stderr);
  const folder = await interruptible(async (signal) =>
    ensureSelftests({ machine, source: request.linuxSource, progress, signal }),
  ).finally(() => progress.done());
  const scratch = await mkdtemp(join(tmpdir(), 'wcvmm-selftests-'));
  try {
    const plan = join(scratch, 'plan');
    const all: KernelResults[] = [];
    for (const kernel of request.kernels) {
      const planned = programs.filter((program) => runsOn(program, kernel, request.programs));
      await writeFile(plan, planText(planned));
      const inputs = [
        join(patchesFolder, 'selftests/inside'),
        plan,
        ...planned.map((program) => join(folder, nameOf(program))),
      ];
      const what = { programs: planned, inputs, memory: available.memory, progress };
      all.push({ kernel, results: await runOn(kernel, request, what) });
    }
    return all;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface What {
  programs: readonly Program[];
  inputs: readonly string[];
  memory: number | undefined;
  progress: Progress;
}

async function runOn(
  kernel: KernelVariant,
  { arch, cpu, linuxSource, outputDir }: SelftestRequest,
  { programs, inputs, memory, progress }: What,
): Promise<readonly Result[]> {
  const log = outputDir === undefined ? null : await logFile(outputDir, `${arch}-${kernel}.log`);
  let begun = 0;
  const reasons = new Map(programs.map((program) => [nameOf(program), program.needs?.otherwise ?? noIommu]));
  const transcript = new Transcript(reasons, (program, device) => {
    if (begun === 0) progress.phase(`selftests on the ${kernel} kernel, ${arch}`);
    progress.update(`${(begun += 1)}. ${program}${device === null ? '' : ` ${device}`}`);
  });
  let complaints = '';
  try {
    const code = await runInTestbed({
      arch,
      kernel,
      cpu,
      linuxSource,
      memory: memory === undefined ? undefined : memory + (kernel.startsWith('debug') ? moreForKasan : 0),
      run: { kind: 'program', args: ['sh', '-c', 'sh ./inside <plan'] },
      inputs,
      timeout: programs.reduce((sum, { seconds, per }) => sum + seconds * (per === 'device' ? 3 : 1), secondsAround),
      stdout: (chunk) => {
        log?.write(chunk);
        transcript.take(chunk);
      },
      stderr: (chunk) => {
        complaints = `${complaints}${Buffer.from(chunk).toString()}`.slice(0, 2000);
      },
    });
    if (code !== 0 || transcript.results.length === 0)
      throw new WcvmmError('E_TESTBED', `The selftests could not be run in the instance.\n${complaints}`);
    return transcript.results;
  } catch (error) {
    if (error instanceof WcvmmError && error.code === 'E_TESTBED' && transcript.running !== null)
      throw new WcvmmError(
        'E_TESTBED',
        `The ${kernel} kernel did not survive ${transcript.running}. ${error.message}`,
        { cause: error },
      );
    throw error;
  } finally {
    log?.end();
    progress.done();
  }
}

async function logFile(folder: string, name: string): Promise<WriteStream> {
  await mkdir(folder, { recursive: true });
  return createWriteStream(join(folder, name));
}

const noIommu = "the device has no IOMMU here, and the kernel's selftests cannot use one without";

/** MiB: vfio-pci maps every BAR when a device is opened, and an eighth of the testbed's 8 GiB BAR is KASAN's shadow, twice until vmap is tidied up. */
const moreForKasan = 3072;

/** Boot, power-off, and a debug kernel's search for leaks. */
const secondsAround = 1500;

/** What kernel-patches/selftests/inside reads, one program a line. */
function planText(programs: readonly Program[]): string {
  return programs
    .map(
      (program) =>
        `${[nameOf(program), program.per, program.seconds, program.needs?.file ?? '-', ...program.args].join(' ')}\n`,
    )
    .join('');
}
