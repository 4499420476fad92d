import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { WcvmmError } from '../vmm/errors.ts';
import { consoleTail, isPanic, keepConsole } from './console.ts';
import type { BootFiles, Channels, Machine, MachineOptions } from './machine/machine.ts';
import { collectOutput, prepareShare, removeShare, type Command } from './share.ts';

export interface SessionOptions {
  machine: Machine;
  options: MachineOptions;
  /** The instance mounts a folder of the session's own beside these. */
  files: Omit<BootFiles, 'share'>;
  command: Command;
  /** Files of the host that are copied into the command's working directory. */
  inputs: readonly string[];
  /** Where files that the command wrote to its working directory go; null = nowhere. */
  outputDir: string | null;
  /** Seconds for the whole session, from power-on to power-off; null = no limit. */
  timeout: number | null;
  signal: AbortSignal;
  onUp?: (() => void) | undefined;
  stdout: (chunk: Uint8Array) => void;
  stderr: (chunk: Uint8Array) => void;
}

/**
 * Boots an emulated instance, runs one command in it and powers it off. Returns the command's exit code.
 * Throws E_TESTBED when the instance does not come to the end of the command, with the end of its kernel log,
 * and E_INTERRUPTED when `signal` aborts. The emulator and the temporary folder are gone on every path.
 */
export async function runSession(session: SessionOptions): Promise<number> {
  const share = await prepareShare(session.command, session.inputs);
  try {
    const code = await boot(session, share.path);
    if (session.outputDir !== null) await collectOutput(share, session.outputDir);
    return code;
  } finally {
    await removeShare(share);
  }
}

/** File descriptors of the emulator, after its own standard input, output and error. */
const channels = { stdout: 3, stderr: 4, control: 5, console: 6 } satisfies Channels;

async function boot(session: SessionOptions, share: string): Promise<number> {
  session.signal.throwIfAborted();
  const { interactive } = session.command;
  const files: BootFiles = { ...session.files, share };
  const args = session.machine.emulatorArguments(files, { ...channels, console: interactive ? null : channels.console }, session.options);
  const [program, ...prefix] = confined(session.machine.emulator);
  const emulator = spawn(program, [...prefix, ...args], {
    stdio: interactive ? ['inherit', 'inherit', 'pipe', 'pipe', 'pipe', 'pipe'] : ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  });

  let stopped: WcvmmError | null = null;
  const stop = (reason: WcvmmError): void => {
    stopped ??= reason;
    emulator.kill('SIGKILL');
  };
  const onAbort = (): void => stop(new WcvmmError('E_INTERRUPTED', 'The session was stopped.', { cause: session.signal.reason }));
  session.signal.addEventListener('abort', onAbort);

  let complaints = '';
  let control = '';
  let log = '';
  let up = false;
  onData(emulator, 2, (chunk) => (complaints += chunk.toString()));
  onData(emulator, channels.stdout, session.stdout);
  onData(emulator, channels.stderr, session.stderr);
  onData(emulator, channels.control, (chunk) => {
    control += chunk.toString('latin1');
    if (!up && control.startsWith('up\n')) {
      up = true;
      session.onUp?.();
    }
  });
  if (!interactive) onData(emulator, channels.console, (chunk) => (log += chunk.toString('latin1')));

  const timer =
    session.timeout === null
      ? undefined
      : setTimeout(() => {
          const state = up ? 'the command was still running' : 'the instance had not finished booting';
          stop(new WcvmmError('E_TESTBED', `The session did not end within ${session.timeout} s: ${state}. A longer --timeout may help.`));
        }, session.timeout * 1000);
  try {
    // 'close' rather than 'exit': everything that the channels still hold has been read by then.
    await once(emulator, 'close');
  } catch (error) {
    throw new WcvmmError('E_TESTBED', `${program} could not be started; testbed/setup installs it.`, { cause: error });
  } finally {
    clearTimeout(timer);
    session.signal.removeEventListener('abort', onAbort);
  }

  session.signal.throwIfAborted();
  const code = /^exit (\d+)$/m.exec(control)?.[1];
  if (stopped === null && code !== undefined) return Number(code);
  throw await describe(stopped, { up, complaints, log });
}

/**
 * The emulator needs no network and gets none where we may take it away, and dies with us even when we are
 * killed with no chance to clean up.
 */
function confined(emulator: string): [string, ...string[]] {
  const network = process.getuid?.() === 0 ? ['unshare', '--net', '--'] : [];
  return ['setpriv', '--pdeathsig', 'KILL', '--', ...network, emulator];
}

function onData(child: ChildProcess, fd: number, take: (chunk: Buffer) => void): void {
  const stream = child.stdio[fd] as Readable | null | undefined;
  stream?.on('data', take);
}

async function describe(stopped: WcvmmError | null, what: { up: boolean; complaints: string; log: string }): Promise<WcvmmError> {
  const reason =
    stopped?.message ??
    (isPanic(what.log)
      ? 'The kernel of the emulated instance panicked.'
      : what.log === '' && !what.up
      ? 'The emulator ended before the instance started.'
      : `The instance ended ${what.up ? 'while the command was running' : 'before it could run the command'}.`);
  const kept = what.log === '' ? '' : `\nThe whole kernel log: ${await keepConsole(what.log)}`;
  const tail = consoleTail(what.log);
  const said = what.complaints.trim();
  return new WcvmmError(
    stopped?.code ?? 'E_TESTBED',
    `${reason}${said === '' ? '' : `\nThe emulator said: ${said}`}${tail === '' ? '' : `\nThe end of its kernel log:\n${tail}`}${kept}`,
    stopped?.cause === undefined ? {} : { cause: stopped.cause },
  );
}
