import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { WcvmmError } from '../vmm/errors.ts';
import type { Channels } from './machine/machine.ts';

/** The file descriptors that an emulator inherits after its standard streams, one socket for each channel. */
export const channels = { stdout: 3, stderr: 4, control: 5, console: 6 } satisfies Channels;

export interface Listeners {
  stdout: (chunk: Uint8Array) => void;
  stderr: (chunk: Uint8Array) => void;
  /** All that the instance's first process has said so far. */
  control: (text: string) => void;
}

/** What an emulator left when it ended. */
export interface Ended {
  control: string;
  /** The serial console, or "" where it was this terminal. */
  console: string;
  /** The emulator's own standard error. */
  complaints: string;
}

export interface Emulator {
  /** When the process is gone and everything that it wrote has been read. Rejects with E_SETUP if it cannot start. */
  ended: Promise<Ended>;
  kill: () => void;
}

/** Starts an emulator. `interactive` gives it this terminal instead of the console channel. */
export function startEmulator(program: string, args: readonly string[], interactive: boolean, listeners: Listeners): Emulator {
  const [command, ...prefix] = confined(program);
  const child = spawn(command, [...prefix, ...args], {
    stdio: [...(interactive ? (['inherit', 'inherit'] as const) : (['ignore', 'ignore'] as const)), 'pipe', 'pipe', 'pipe', 'pipe', interactive ? 'ignore' : 'pipe'],
  });
  const left: Ended = { control: '', console: '', complaints: '' };
  const onData = (fd: number, take: (chunk: Buffer) => void): void => {
    const stream = child.stdio[fd] as Readable | null | undefined;
    stream?.on('data', take);
  };
  onData(2, (chunk) => (left.complaints += chunk.toString()));
  onData(channels.stdout, listeners.stdout);
  onData(channels.stderr, listeners.stderr);
  onData(channels.console, (chunk) => (left.console += chunk.toString('latin1')));
  onData(channels.control, (chunk) => {
    left.control += chunk.toString('latin1');
    listeners.control(left.control);
  });
  return {
    // 'close' rather than 'exit': nothing is left in the channels by then.
    ended: once(child, 'close').then(
      () => left,
      (cause: unknown) => {
        throw new WcvmmError('E_SETUP', `${program} could not be started; testbed/setup installs it.`, { cause });
      },
    ),
    kill: () => child.kill('SIGKILL'),
  };
}

/**
 * The emulator needs no network and gets none where we may take it away, and dies with us even when we are
 * killed with no chance to clean up.
 */
function confined(program: string): [string, ...string[]] {
  const network = process.getuid?.() === 0 ? ['unshare', '--net', '--'] : [];
  return ['setpriv', '--pdeathsig', 'KILL', '--', ...network, program];
}
