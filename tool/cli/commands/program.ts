/** Every command, and the program that they make. */
import { Command } from 'commander';
import { standardOutput } from '../../../common/output.ts';
import { packageVersion } from '../../../common/version.ts';

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).runCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
  compare: async () => (await import('./compare.ts')).compareCommand(),
  bench: async () => (await import('./bench.ts')).benchCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  devices: async () => (await import('./devices.ts')).devicesCommand(),
  inspect: async () => (await import('./inspect.ts')).inspectCommand(),
  bind: async () => (await import('./bind.ts')).bindCommand(),
  unbind: async () => (await import('./bind.ts')).unbindCommand(),
  kernel: async () => (await import('./kernel.ts')).kernelCommand(),
  testbed: async () => (await import('./testbed.ts')).testbedCommand(),
  completion: async () => (await import('./completion.ts')).completionCommand(),
  man: async () => (await import('./man.ts')).manCommand(),
};

/** These describe all the others. */
const NEED_ALL = new Set(['completion', 'man']);

const EXAMPLES = `
Examples:
  $ wcvmm doctor                                         what this machine can do
  $ wcvmm verify --testbed arm64                         an emulated instance, nothing special needed
  $ wcvmm verify -d 0000:01:00.0 --json report.json      this machine's device
  $ wcvmm compare --testbed arm64                        wc, default and device side by side
  $ wcvmm bench -d 0000:01:00.0                          how fast stores and loads are
  $ wcvmm compare here.json there.json                   reports of two machines
  $ wcvmm report report.json --html report.html          a report in another format
  $ wcvmm run -d 0000:01:00.0 -m bar2=wc guest.elf       a bare-metal guest
  $ wcvmm run --kernel debian -d 0000:01:00.0            Linux with the device's own driver

Exit codes: 0 done, or nothing contradicts the model; 1 a mismatch; 2 an error; 3 not proven, since nothing shows some
window's memory type. A command's own --help says what they mean there.`;

/** Only the command that `argv` names is loaded, since loading the others would double the time that `run` takes to start. */
export async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('wcvmm')
    .description("Choose the memory type of a passthrough device's BAR, range by range, and prove what the guest got")
    .version(packageVersion())
    .option('--debug', 'show where an error came from')
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
    .enablePositionalOptions();
  const named = argv.find((word) => !word.startsWith('-')) ?? '';
  const load = NEED_ALL.has(named) || !Object.hasOwn(COMMANDS, named) ? undefined : COMMANDS[named];
  for (const make of load === undefined ? Object.values(COMMANDS) : [load]) program.addCommand(await make());
  writeByOutput(program);
  exitWithCode2(program);
  return program;
}

/** Loads what runs guests and writes reports, for a process that has time now and none later. What fails now fails again for whoever needs it. */
export async function preloadCommands(): Promise<void> {
  await Promise.allSettled([
    ...(['run', 'verify', 'compare', 'bench'] as const).map((name) => COMMANDS[name]?.()),
    import('./run-here.ts'),
    import('../../bench/bench.ts'),
    import('../../report/json.ts'),
    import('../../report/text.ts'),
    import('../../report/compare.ts'),
    import('../../report/bench.ts'),
    import('../../verify/read-back/spte-watch.ts'),
  ]);
}

/** commander writes to Node's stream. */
function writeByOutput(command: Command): void {
  command.configureOutput({ writeOut: (text) => standardOutput.write(text) });
  for (const sub of command.commands) writeByOutput(sub);
}

/** commander ends with 1 on a bad command line; here 1 means a mismatch. */
function exitWithCode2(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) exitWithCode2(sub);
}
