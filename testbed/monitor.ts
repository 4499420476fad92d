/** QEMU's monitor, by QMP (docs/interop/qmp-spec.rst of QEMU): a look at an instance that nothing in it knows of. */
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';

export interface Monitor {
  /** The session's folder, where commands of the monitor write their files. */
  readonly folder: string;
  /** Executes a command of the human monitor, such as `info registers -a`, and returns what it prints. */
  ask(command: string): Promise<string>;
}

interface Answer {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
}

/** @param socket of a monitor in QMP's mode; what was asked is rejected when it closes */
export function monitorOn(socket: Duplex, folder: string): Monitor {
  const waiting = new Map<number, { resolve: (text: string) => void; reject: (error: Error) => void }>();
  let asked = 0;
  const send = (execute: string, more: object): void => void socket.write(`${JSON.stringify({ execute, ...more })}\n`);
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => {
    const { id, return: text, error } = JSON.parse(line) as Answer;
    const one = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || one === undefined) return;
    waiting.delete(id);
    if (error === undefined) one.resolve(typeof text === 'string' ? text : '');
    else one.reject(new Error(error.desc ?? line));
  });
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the emulator ended'));
  });
  // An emulator that ends leaves what it was sent unread; readline passes the socket's error on.
  socket.on('error', () => {});
  lines.on('error', () => {});
  send('qmp_capabilities', {});
  return {
    folder,
    ask: (command) =>
      new Promise((resolve, reject) => {
        const id = (asked += 1);
        waiting.set(id, { resolve, reject });
        send('human-monitor-command', { id, arguments: { 'command-line': command } });
      }),
  };
}
