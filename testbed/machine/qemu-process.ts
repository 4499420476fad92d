import type { Duplex, Readable } from 'node:stream';
import { confined } from '../confine.ts';
import { ControlChannel } from '../control.ts';
import { complaintsLimit, consoleLimit, notInstalled, type Emulator, type Ended, type Listeners } from '../emulator.ts';
import { monitorOn } from '../monitor.ts';
import { TextTail } from '../text-tail.ts';

/** Channels of the instance, each a file descriptor that QEMU inherits; `console` null = this terminal. */
export interface Channels {
  stdout: number;
  stderr: number;
  control: number;
  console: number | null;
}

/** After the standard streams, one socket for each channel. */
export const channels = { stdout: 3, stderr: 4, control: 5, console: 6 } satisfies Channels;

/** The monitor's, where somebody wants to look in. */
const MONITOR = 7;

const monitorArguments = ['-chardev', `socket,id=monitor,fd=${MONITOR}`, '-mon', 'chardev=monitor,mode=control'];

/** Starts QEMU. `folder` is the session's; `interactive` gives it this terminal instead of the console channel. */
export async function startQemu(
  program: string,
  args: readonly string[],
  folder: string,
  interactive: boolean,
  listeners: Listeners,
): Promise<Emulator> {
  const { execa } = await import('execa');
  const [command, ...prefix] = confined(program, { folder, network: 'best-effort' });
  const { monitor } = listeners;
  const child = execa(command, [...prefix, ...args, ...(monitor === undefined ? [] : monitorArguments)], {
    buffer: false,
    reject: false,
    stdio: [
      ...(interactive ? (['inherit', 'inherit'] as const) : (['ignore', 'ignore'] as const)),
      'pipe',
      'pipe',
      'pipe',
      'pipe',
      interactive ? 'ignore' : 'pipe',
      monitor === undefined ? 'ignore' : 'pipe',
    ],
  });
  const complaints = new TextTail(complaintsLimit);
  const serial = new TextTail(consoleLimit);
  const control = new ControlChannel(listeners.up);
  const onData = (fd: number, take: (chunk: Buffer) => void): void => {
    const stream = child.stdio[fd] as Readable | null | undefined;
    stream?.on('data', take);
  };
  onData(2, (chunk) => complaints.add(chunk.toString()));
  onData(channels.stdout, listeners.stdout);
  onData(channels.stderr, listeners.stderr);
  onData(channels.console, (chunk) => serial.add(chunk.toString('latin1')));
  onData(channels.control, (chunk) => control.push(chunk));
  monitor?.(monitorOn((child.stdio as readonly unknown[])[MONITOR] as Duplex, folder));
  const finish = async (): Promise<Ended> => {
    // By then nothing is left in the channels.
    const result = await child;
    if (result.exitCode === undefined && result.signal === undefined) throw notInstalled(program, result);
    const { up, exitCode } = control;
    return { up, exitCode, console: serial.toString(), complaints: complaints.toString() };
  };
  return { ended: finish(), kill: () => child.kill('SIGKILL') };
}
