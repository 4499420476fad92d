/**
 * `node ssh-relay.js ADDRESS=SOCKET...`: listens for SSH on port 22 of each address, and carries the connections as frames over one
 * connection that an emulator makes to the socket (test/fleet/ssh-port.c has the other end). Prints `ready`.
 */
import { createServer } from 'node:net';
import type { Socket } from 'node:net';

const KIND = { open: 1, data: 2, close: 3 } as const;
const LONGEST = 4096;
const HEAD = 4;

class Node {
  #port: Socket | null = null;
  #early: Buffer[] = [];
  #next = 0;
  readonly #connections = new Map<number, Socket>();
  #read: Buffer = Buffer.alloc(0);

  /** The emulator is there. When it goes, so does every connection. */
  attach(port: Socket): void {
    this.#port = port;
    for (const frame of this.#early) port.write(frame);
    this.#early = [];
    port.on('data', (chunk) => this.#frames(chunk));
    port.on('error', () => {});
    port.on('close', () => {
      this.#port = null;
      this.#read = Buffer.alloc(0);
      for (const connection of this.#connections.values()) connection.destroy();
      this.#connections.clear();
    });
  }

  connect(connection: Socket): void {
    const id = this.#next;
    this.#next = (this.#next + 1) % 256;
    this.#connections.get(id)?.destroy();
    this.#connections.set(id, connection);
    this.#send(id, KIND.open);
    connection.setNoDelay(true);
    connection.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += LONGEST) this.#send(id, KIND.data, chunk.subarray(at, at + LONGEST));
    });
    connection.on('error', () => {});
    connection.on('close', () => {
      if (this.#connections.get(id) !== connection) return;
      this.#connections.delete(id);
      this.#send(id, KIND.close);
    });
  }

  #send(id: number, kind: number, data: Buffer = Buffer.alloc(0)): void {
    const frame = Buffer.concat([Buffer.from([id, kind, data.length & 0xff, data.length >> 8]), data]);
    if (this.#port === null) this.#early.push(frame);
    else this.#port.write(frame);
  }

  #frames(chunk: Buffer): void {
    this.#read = Buffer.concat([this.#read, chunk]);
    while (this.#read.length >= HEAD) {
      const length = this.#read.readUInt16LE(2);
      if (this.#read.length < HEAD + length) return;
      const [id = 0, kind] = this.#read;
      const connection = this.#connections.get(id);
      if (kind === KIND.data) connection?.write(this.#read.subarray(HEAD, HEAD + length));
      if (kind === KIND.close) {
        this.#connections.delete(id);
        connection?.end();
      }
      this.#read = this.#read.subarray(HEAD + length);
    }
  }
}

let waiting = 0;
const ready = (): void => {
  waiting -= 1;
  if (waiting === 0) process.stdout.write('ready\n');
};
for (const pair of process.argv.slice(2)) {
  const [address = '', socket = ''] = pair.split('=');
  const node = new Node();
  waiting += 2;
  createServer((port) => node.attach(port)).listen({ path: socket, writableAll: true }, ready);
  createServer((connection) => node.connect(connection)).listen(22, address, ready);
}
