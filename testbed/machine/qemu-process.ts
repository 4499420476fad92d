import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { confined, notInstalled, type Emulator, type Ended, type Listeners } from '../emulator.ts';

/** Channels of the instance, each a file descriptor that QEMU inherits; `console` null = this terminal. */
export interface Channels {
  stdout: number;
  stderr: number;
  control: number;
  console: number | null;
}

/** After the standard streams, one socket for each channel. */
export const channels = { stdout: 3, stderr: 4, control: 5, console: 6 } satisfies Channels;

/** Starts QEMU. `interactive` gives it this terminal instead of the console channel. */
export function startQemu(
  program: string,
  args: readonly string[],
  interactive: boolean,
  listeners: Listeners,
): Emulator {
  const [command, ...prefix] = confined(program, 'best-effort');
  const child = spawn(command, [...prefix, ...args], {
    stdio: [
      ...(interactive ? (['inherit', 'inherit'] as const) : (['ignore', 'ignore'] as const)),
      'pipe',
      'pipe',
      'pipe',
      'pipe',
      interactive ? 'ignore' : 'pipe',
    ],
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
        throw notInstalled(program, cause);
      },
    ),
    kill: () => child.kill('SIGKILL'),
  };
}
