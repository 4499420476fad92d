/**
 * What comes out of Bochs' standard output: its debugger's text, and in between the frames that
 * testbed/rootfs/bochs-port.c sends through port 0xe9. A frame is 0x1e, the stream's number, the length as 32 bits
 * little endian, and the bytes. The debugger writes no 0x1e, and nothing inside of a frame.
 */
export const streams = ['stdout', 'stderr', 'files', 'control'] as const;

export type Stream = (typeof streams)[number];

const frameStart = 0x1e;
const headerLength = 6;

export interface Listener {
  text: (text: string) => void;
  data: (stream: Stream, bytes: Uint8Array) => void;
}

/** Takes the output in any pieces. A frame's bytes are passed on as they come; those of unknown streams are dropped. */
export class FrameReader {
  readonly #listener: Listener;
  #header: number[] = [];
  #left = 0;
  #stream: Stream | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) at = this.#takeData(chunk, at);
      else if (this.#header.length > 0) at = this.#takeHeader(chunk, at);
      else at = this.#takeText(chunk, at);
    }
  }

  #takeText(chunk: Uint8Array, at: number): number {
    const found = chunk.indexOf(frameStart, at);
    const end = found === -1 ? chunk.length : found;
    if (end > at) this.#listener.text(Buffer.from(chunk.subarray(at, end)).toString('latin1'));
    if (found === -1) return end;
    this.#header = [frameStart];
    return end + 1;
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + headerLength - this.#header.length);
    this.#header.push(...chunk.subarray(at, end));
    if (this.#header.length === headerLength) {
      const header = Buffer.from(this.#header);
      this.#stream = streams[header.readUInt8(1)];
      this.#left = header.readUInt32LE(2);
      this.#header = [];
    }
    return end;
  }

  #takeData(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    if (this.#stream !== undefined) this.#listener.data(this.#stream, chunk.subarray(at, end));
    return end;
  }
}
