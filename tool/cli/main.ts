/** Runs a command line, and reports what went wrong. */
import { CommanderError } from 'commander';
import { explainDisk } from '../../common/disk.ts';
import { EXIT, WcvmmError } from '../../common/errors.ts';
import { standardOutput } from '../../common/output.ts';
import { SysError } from '../../vmm/sys/port.ts';
import { buildProgram } from './commands/program.ts';

/** @param argv without the program's own name */
export async function main(argv: readonly string[]): Promise<void> {
  standardOutput.onError = (error) => {
    // Whoever read it has seen enough, as in `wcvmm --help | head`; the exit code still says how the work ended.
    if (error.code !== 'EPIPE') report(explainDisk(error, 'standard output') ?? error, argv.includes('--debug'));
  };
  try {
    await (await buildProgram(argv)).parseAsync(argv, { from: 'user' });
  } catch (error) {
    report(explainDisk(error) ?? error, argv.includes('--debug'));
  }
}

function report(error: unknown, debug: boolean): void {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.failed;
    return;
  }
  process.exitCode = EXIT.failed;
  if (error instanceof SysError) {
    process.stderr.write(
      `wcvmm: E_SYSCALL: the kernel refused a call that wcvmm expected to work (${error.message}). Run it again with --debug to see where, and please report that with the kernel's log.\n`,
    );
    if (debug) process.stderr.write(`${error.stack ?? ''}\n`);
    return;
  }
  if (!(error instanceof WcvmmError)) {
    process.stderr.write(`wcvmm: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return;
  }
  process.stderr.write(`wcvmm: ${error.code}: ${error.message}\n`);
  if (debug)
    process.stderr.write(
      `${error.stack ?? ''}\n${error.cause instanceof Error ? `caused by ${error.cause.stack}\n` : ''}`,
    );
}
