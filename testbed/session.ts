import { WcvmmError } from '../common/errors.ts';
import { consoleTail, isPanic, keepConsole } from './console.ts';
import type { Ended, Listeners } from './emulator.ts';
import type { BootFiles, Machine, MachineOptions } from './machine/machine.ts';
import { collectOutput, outputFiles, prepareShare, removeShare, type Command } from './share.ts';

export interface SessionOptions {
  machine: Machine;
  options: MachineOptions;
  /** The instance mounts a folder of the session's own beside these. */
  files: Omit<BootFiles, 'share'>;
  /** "qemu-10.0.2". */
  emulator: string;
  command: Command;
  /** Files of the host that are copied into the command's working directory. */
  inputs: readonly string[];
  /** Where files that the command wrote to its working directory go, or what is called with the files that are dropped. */
  output: { kind: 'folder'; path: string } | { kind: 'dropped'; onFiles: (names: readonly string[]) => void };
  /** Seconds for the whole session, from power-on to power-off; null = no limit. */
  timeout: number | null;
  signal: AbortSignal;
  onUp?: (() => void) | undefined;
  stdout: (chunk: Uint8Array) => void;
  stderr: (chunk: Uint8Array) => void;
  eptLeaf?: Listeners['eptLeaf'];
  monitor?: Listeners['monitor'];
}

/**
 * Boots an emulated instance, runs one command in it and powers it off. Returns the command's exit code.
 * Throws E_TESTBED if the instance does not reach the end of the command, with the end of its kernel log,
 * and E_INTERRUPTED when `signal` aborts. The emulator and the temporary folder are gone on every path.
 */
export async function runSession(session: SessionOptions): Promise<number> {
  const share = await prepareShare(session.command, session.inputs);
  try {
    const code = await boot(session, share.path);
    if (session.output.kind === 'folder') await collectOutput(share, session.output.path);
    else session.output.onFiles(await outputFiles(share));
    return code;
  } finally {
    await removeShare(share);
  }
}

async function boot(session: SessionOptions, share: string): Promise<number> {
  session.signal.throwIfAborted();
  const { machine, files, command, options, emulator: name, signal } = session;
  const up = (): void => session.onUp?.();
  const listeners = {
    stdout: session.stdout,
    stderr: session.stderr,
    up,
    eptLeaf: session.eptLeaf,
    monitor: session.monitor,
  };
  const emulator = await machine.start({
    files: { ...files, share },
    command,
    options,
    emulator: name,
    listeners,
    signal,
  });
  // Nobody listened while it was being prepared.
  if (signal.aborted) emulator.kill();
  let late = false;
  const onTimeout = (): void => {
    late = true;
    emulator.kill();
  };
  const timer = session.timeout === null ? undefined : setTimeout(onTimeout, session.timeout * 1000);
  session.signal.addEventListener('abort', emulator.kill);
  let ended: Ended;
  try {
    ended = await emulator.ended;
  } finally {
    clearTimeout(timer);
    session.signal.removeEventListener('abort', emulator.kill);
  }
  session.signal.throwIfAborted();
  if (!late && ended.exitCode !== null) return ended.exitCode;
  throw await failure(late ? tooLate(session.timeout, ended.up) : cause(ended), ended);
}

function tooLate(timeout: number | null, up: boolean): string {
  return `The session did not end within ${timeout} s: ${up ? 'the command was still running' : 'the instance had not finished booting'}. A longer --timeout may help.`;
}

function cause({ up, console }: Ended): string {
  if (isPanic(console)) return 'The kernel of the emulated instance panicked.';
  if (console === '' && !up) return 'The emulator ended before the instance started.';
  return `The instance ended ${up ? 'while the command was running' : 'before it could run the command'}.`;
}

/** What happened, with all that may say why. */
async function failure(what: string, ended: Ended): Promise<WcvmmError> {
  const parts = [what];
  const complaints = ended.complaints.trim();
  if (complaints !== '') parts.push(`The emulator printed: ${complaints}`);
  if (ended.console !== '')
    parts.push(
      `The end of its kernel log:\n${consoleTail(ended.console)}`,
      `The kernel log: ${await keepConsole(ended.console)}`,
    );
  return new WcvmmError('E_TESTBED', parts.join('\n'));
}
