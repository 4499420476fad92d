import { Command, InvalidArgumentError, Option } from 'commander';
import type { TestbedRequest } from '../../../testbed/index.ts';
import { MACHINES } from '../../../testbed/machine/names.ts';
import type { KernelVariant } from '../../../testbed/machine/machine.ts';
import { addKernelOptions, variantOf } from './kernel.ts';

/** `wcvmm testbed`: any command, run inside an emulated instance with the project's kernel. */
export function testbedCommand(): Command {
  return new Command('testbed')
    .enablePositionalOptions()
    .description("Run commands inside an emulated instance whose kernel has the project's patches")
    .addCommand(runCommand())
    .addCommand(execCommand())
    .addCommand(shellCommand());
}

interface SharedOptions {
  arch: string;
  stock?: true;
  kernel?: KernelVariant;
  linuxSource?: string;
  cpu?: string;
  iommu: boolean;
  memory?: number;
  processors?: number;
  emulatorOptions?: string;
}

interface BatchOptions extends SharedOptions {
  input: string[];
  output?: string;
  timeout?: number;
}

function runCommand(): Command {
  return batchCommand(
    'run',
    'Run wcvmm inside the instance; its output, files and exit code come back',
    '<arguments...>',
  )
    .addHelpText(
      'after',
      examples(
        'wcvmm testbed run --output . -- verify -d 0000:01:00.0 --json report.json',
        'wcvmm testbed run --stock -- verify -d 0000:01:00.0 --source sysfs',
        'wcvmm testbed run --input guest.elf -- run -d 0000:01:00.0 guest.elf',
      ),
    )
    .action(async (args: string[], options: BatchOptions) => start(batch({ kind: 'wcvmm', args }, options)));
}

function execCommand(): Command {
  return batchCommand('exec', 'Run any program inside the instance', '<program...>')
    .addHelpText(
      'after',
      examples('wcvmm testbed exec -- cat /proc/version', 'wcvmm testbed exec --no-iommu -- ls /sys/bus/pci/devices'),
    )
    .action(async (args: string[], options: BatchOptions) => start(batch({ kind: 'program', args }, options)));
}

function shellCommand(): Command {
  return machineOptions(
    new Command('shell').description('An interactive shell inside the instance; it powers off when the shell ends'),
  )
    .addHelpText('after', examples('wcvmm testbed shell', 'wcvmm testbed shell --stock --cpu neoverse-n1'))
    .action(async (options: SharedOptions) => start({ ...request(options), run: { kind: 'shell' }, timeout: null }));
}

function batchCommand(name: string, description: string, args: string): Command {
  return machineOptions(new Command(name).description(description).argument(args))
    .addOption(
      new Option('-i, --input <file...>', "copy a file into the command's working directory").default([], 'none'),
    )
    .option(
      '-o, --output <folder>',
      'copy the files that the command writes to this folder (default: they are dropped)',
    )
    .option('-t, --timeout <seconds>', 'stop the instance after this time (default: 120; x86-intel: 300)', positive)
    .passThroughOptions();
}

function machineOptions(command: Command): Command {
  return addKernelOptions(command)
    .addOption(
      new Option('--arch <architecture>', 'the architecture of the instance').choices(MACHINES).default(MACHINES[0]),
    )
    .option('--linux-source <path>', "a Linux source tree or tarball instead of Debian's")
    .option('--cpu <model>', 'a CPU model of the emulator, for example neoverse-n1, which has no FWB')
    .option('--no-iommu', 'an instance without an IOMMU')
    .option('--memory <MiB>', 'memory of the instance', positive)
    .option('--processors <count>', 'CPUs of the instance (default: 2; x86-intel always has 1)', positive)
    .option(
      '--emulator-options <words>',
      'more options for the emulator, separated by spaces: further devices, a trace',
    );
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0) throw new InvalidArgumentError('Expected a whole number above 0.');
  return value;
}

function request(options: SharedOptions): Omit<TestbedRequest, 'run'> {
  return {
    arch: options.arch,
    kernel: variantOf(options),
    linuxSource: options.linuxSource,
    cpu: options.cpu,
    iommu: options.iommu,
    memory: options.memory,
    processors: options.processors,
    emulatorOptions: options.emulatorOptions?.split(/\s+/).filter((word) => word !== ''),
  };
}

function batch(run: TestbedRequest['run'], options: BatchOptions): TestbedRequest {
  const { input: inputs, output: outputDir, timeout } = options;
  return { ...request(options), run, inputs, outputDir, timeout, onDropped: sayDropped };
}

/** Says where a report went that was written without --output. */
function sayDropped(names: readonly string[]): void {
  if (names.length === 0) return;
  const shown = names.slice(0, 5).join(', ');
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  process.stderr.write(
    `wcvmm: the command wrote ${shown}${more}, dropped with the instance; --output FOLDER copies such files out\n`,
  );
}

async function start(what: TestbedRequest): Promise<void> {
  const { runInTestbed } = await import('../../../testbed/index.ts');
  process.exitCode = await runInTestbed(what);
}

function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n\nThe exit code is that of the command, or 2 if the instance could not run it.`;
}
