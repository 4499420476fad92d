/** What verify and compare have in common: both ask the same guests, and tell it differently. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import type { Command } from 'commander';
import { interruptible } from '../../testbed/interrupt.ts';
import { progressOn } from '../../testbed/progress.ts';
import { WcvmmError } from '../errors.ts';
import { parseElf } from '../guest/elf.ts';
import { requireArchitecture } from '../kvm/arch/arch.ts';
import { exitCodeOf } from '../report/report.ts';
import type { Report } from '../report/report.ts';
import { libcPort } from '../sys/libc.ts';
import { parseOverride } from '../verify/predict.ts';
import { verify } from '../verify/verify.ts';
import { collect, windowChoice } from './options.ts';
import type { WindowOptions } from './options.ts';

interface ReportOptions extends WindowOptions {
  readonly json?: string;
  readonly guest?: string;
  readonly allowWrites?: boolean;
  readonly predict: readonly string[];
  readonly guestConsole?: boolean;
  readonly testbed?: string;
  readonly stock?: boolean;
  readonly cpu?: string;
}

export function addReportOptions(command: Command): Command {
  return command
    .option('--json <file>', 'also write the report as JSON ("-" = standard output, and no text)')
    .option('--guest <image>', 'ask this guest instead of the built one')
    .option('--allow-writes', 'the probes may store to BARs that wcvmm does not know as plain memory')
    .option('--predict <row>', 'replace a row of the model, PROBE@STAGE1=OUTCOME, to see that a wrong one is caught', collect, [])
    .option('--guest-console', 'show what the guest prints')
    .addOption(new Option('--testbed <machine>', 'do it all inside an emulated instance').choices(['arm64', 'x86-amd', 'x86-intel']))
    .option('--stock', "with --testbed: a kernel without the project's patches")
    .option('--cpu <model>', "with --testbed: the emulator's name of a CPU model");
}

type Kind = 'verify' | 'compare';

export function reportAction(kind: Kind): (options: ReportOptions) => Promise<void> {
  return async (options) => {
    process.exitCode = options.testbed === undefined ? await runHere(kind, options) : await runInside(kind, options, options.testbed);
  };
}

async function runHere(kind: Kind, options: ReportOptions): Promise<number> {
  const progress = progressOn(process.stderr);
  const arch = requireArchitecture();
  const image = parseElf(await readGuest(arch.name, options.guest), arch.name);
  const overrides = options.predict.map(parseOverride);
  const report = await interruptible((signal) =>
    verify(libcPort, arch, {
      command: kind,
      choice: windowChoice(options),
      image,
      timeoutMs: options.timeout * 1000,
      allowWrites: options.allowWrites === true,
      overrides,
      onPhase: (what) => progress.phase(what),
      onProgress: (done, total) => progress.update(`${done} of ${total} answers`),
      ...(options.guestConsole === true && { onConsole: (text: string) => process.stderr.write(text) }),
      signal,
    }),
  ).finally(() => progress.done());
  await tell(kind, report, options.json);
  return exitCodeOf(report);
}

async function tell(kind: Kind, report: Report, json: string | undefined): Promise<void> {
  const { formatReport, writeReport } = await import('../report/json.ts');
  if (json === '-') {
    process.stdout.write(formatReport(report));
    return;
  }
  if (json !== undefined) await writeReport(json, report);
  const { styleOf } = await import('../report/terminal.ts');
  const style = styleOf(process.stdout, process.env);
  if (kind === 'verify') process.stdout.write((await import('../report/text.ts')).renderReport(report, style));
  else process.stdout.write((await import('../report/compare.ts')).renderCompare(report, style));
}

/** The bare guest that `make -C arm64-tests` or `make -C x86-tests` builds, seen from dist/vmm/commands. */
function builtGuest(arch: string): string {
  return fileURLToPath(new URL(`../../../${arch}-tests/build/guest.elf`, import.meta.url));
}

async function readGuest(arch: string, path: string = builtGuest(arch)): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new WcvmmError('E_GUEST_IMAGE', `the guest image ${path} cannot be read; expected an ELF executable. "make -C ${arch}-tests" builds the project's own.`, { cause: error });
  }
}

/** The same command, inside; a JSON report comes back to where the user wants it. */
async function runInside(kind: Kind, options: ReportOptions, arch: string): Promise<number> {
  const { runInTestbed, testbedDevice } = await import('../../testbed/index.ts');
  const { json, guest, stock, cpu } = options;
  const toFile = json !== undefined && json !== '-';
  return runInTestbed({
    arch,
    kernel: stock === true ? 'stock' : 'patched',
    run: { kind: 'wcvmm', args: [kind, ...argumentsInside(options, testbedDevice(arch))] },
    inputs: guest === undefined ? [] : [guest],
    ...(toFile && { outputDir: dirname(resolve(json)) }),
    ...(cpu !== undefined && { cpu }),
    env: terminalEnvironment(),
  });
}

function argumentsInside({ device, source, iommu, map, timeout, json, guest, allowWrites, predict, guestConsole }: ReportOptions, usual: string): readonly string[] {
  const inside = source === 'memory' ? undefined : (device ?? usual);
  return [
    ...(inside === undefined ? [] : ['--device', inside]),
    '--source',
    source,
    '--iommu',
    iommu,
    '--timeout',
    String(timeout),
    ...map.flatMap((text) => ['--map', text]),
    ...predict.flatMap((text) => ['--predict', text]),
    ...(json === undefined ? [] : ['--json', json === '-' ? json : basename(json)]),
    ...(guest === undefined ? [] : ['--guest', basename(guest)]),
    ...(allowWrites === true ? ['--allow-writes'] : []),
    ...(guestConsole === true ? ['--guest-console'] : []),
  ];
}

/** Inside, standard output is no terminal; what it would look like here is said by environment. */
function terminalEnvironment(): Record<string, string> {
  const { isTTY, columns } = process.stdout;
  const color = isTTY && process.env['NO_COLOR'] === undefined;
  return { COLUMNS: String(isTTY ? columns : 100), ...(color ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }) };
}
