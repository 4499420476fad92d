import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { monitorOn } from '../testbed/monitor.ts';

/** An emulator that answers each command with what `answer` says, and prints events between. */
function emulator(answer: (command: string) => object): Duplex {
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().trimEnd().split('\n')) {
        const { id, arguments: given } = JSON.parse(line) as { id?: number; arguments?: { 'command-line': string } };
        if (id === undefined) this.push('{"QMP": {}}\n{"return": {}}\n');
        else this.push(`{"event": "STOP"}\n${JSON.stringify({ id, ...answer(given?.['command-line'] ?? '') })}\n`);
      }
      done();
    },
  });
}

test("the monitor's answers go to who asked", async () => {
  const socket = emulator((command) =>
    command === 'bad' ? { error: { desc: 'unknown command' } } : { return: `answer to ${command}` },
  );
  const monitor = monitorOn(socket, '/session');
  expect(monitor.folder).toBe('/session');
  await expect(Promise.all(['one', 'two'].map((command) => monitor.ask(command)))).resolves.toEqual([
    'answer to one',
    'answer to two',
  ]);
  await expect(monitor.ask('bad')).rejects.toThrow('unknown command');
});

test('an emulator that ends, or resets the connection, leaves nobody waiting', async () => {
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const asked = monitorOn(socket, '/session').ask('quit');
  socket.destroy(new Error('read ECONNRESET'));
  await expect(asked).rejects.toThrow('the emulator ended');
});
