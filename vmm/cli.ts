#!/usr/bin/env node
/** The command line. Only the command that was named is loaded: the others' imports would double the start of `run`. */
import { Command, CommanderError } from 'commander';
import { EXIT, WcvmmError } from './errors.ts';
import { SysError } from './sys/port.ts';

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./commands/run.ts')).runCommand(),
  verify: async () => (await import('./commands/verify.ts')).verifyCommand(),
  compare: async () => (await import('./commands/compare.ts')).compareCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  report: async () => (await import('./commands/report.ts')).reportCommand(),
  devices: async () => (await import('./commands/devices.ts')).devicesCommand(),
  bind: async () => (await import('./commands/bind.ts')).bindCommand(),
  unbind: async () => (await import('./commands/bind.ts')).unbindCommand(),
  kernel: async () => (await import('./commands/kernel.ts')).kernelCommand(),
  testbed: async () => (await import('./commands/testbed.ts')).testbedCommand(),
};

const EXAMPLES = `
Examples:
  $ wcvmm verify --testbed arm64                         an emulated instance, nothing special needed
  $ wcvmm verify -d 0000:01:00.0 --json report.json      this machine's device
  $ wcvmm compare --testbed arm64                        wc, default and device side by side
  $ wcvmm compare here.json there.json                   reports of two machines
  $ wcvmm report report.json --junit report.xml          a report in another form
  $ wcvmm run -d 0000:01:00.0 -m bar2=wc guest.elf

Exit codes: 0 every check matched, 1 a mismatch, 2 could not run.`;

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('wcvmm')
    .description("Choose the memory type of a passthrough device's BAR, range by range, and prove what the guest got")
    .version('0.1.0')
    .option('--debug', 'show where an error came from')
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
    .enablePositionalOptions();
  const named = argv.find((word) => !word.startsWith('-'));
  const load = named === undefined ? undefined : COMMANDS[named];
  const loaders = load === undefined ? Object.values(COMMANDS) : [load];
  for (const make of loaders) program.addCommand(await make());
  exitWithCode2(program);
  await program.parseAsync(argv, { from: 'user' });
}

/** commander ends with 1 on a bad command line; here 1 means a mismatch. */
function exitWithCode2(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) exitWithCode2(sub);
}

function report(error: unknown, debug: boolean): void {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.failed;
    return;
  }
  process.exitCode = EXIT.failed;
  if (error instanceof SysError) {
    process.stderr.write(`wcvmm: E_SYSCALL: the kernel refused a call that wcvmm expected to work (${error.message}). --debug shows where; please report it with the kernel's log.\n`);
    if (debug) process.stderr.write(`${error.stack ?? ''}\n`);
    return;
  }
  if (!(error instanceof WcvmmError)) {
    process.stderr.write(`wcvmm: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return;
  }
  process.stderr.write(`wcvmm: ${error.code}: ${error.message}\n`);
  if (debug) process.stderr.write(`${error.stack ?? ''}\n${error.cause instanceof Error ? `caused by ${error.cause.stack}\n` : ''}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  report(error, process.argv.includes('--debug'));
}
