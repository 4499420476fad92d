/**
 * What the serial ports of all machines have in common: words that handlers share, what was typed and not read yet, and an
 * interrupt that follows from both. A kind of port adds its registers.
 */
import { exclusively, exclusivelyLater } from '../bus/shared.ts';
import type { VcpuContext } from '../bus/device.ts';
import type { Port } from '../sys/port.ts';
import { ringWriter } from './console-ring.ts';
import { setLine } from './interrupt-line.ts';
import type { InterruptLine } from './interrupt-line.ts';

/** Words: a lock, bytes that were ever typed and read (modulo 2^32), and whether the line is up; then the port's own. */
const LOCK = 0;
const TYPED = 1;
const READ = 2;
const LEVEL = 3;
export const FIRST_OWN = 4;
const WORDS = 32;

/** Bytes that can have been typed and not read; a power of two. */
const ROOM = 4096;

/** Plain data, the same in every thread. */
export interface UartOptions {
  readonly state: SharedArrayBuffer;
  /** A ring of console-ring.ts. */
  readonly output: SharedArrayBuffer;
  readonly line: InterruptLine;
}

export type Words = Int32Array<SharedArrayBuffer>;

/** Whether the port wants an interrupt, by its own words and by whether there is something to read. */
export type WantsInterrupt = (words: Words, hasInput: boolean) => boolean;

export function newUart(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * 4 + ROOM);
}

/** For the vCPUs' threads. */
export class Uart {
  readonly words: Words;
  readonly #input: Uint8Array<SharedArrayBuffer>;
  readonly #port: Port;
  readonly #line: InterruptLine;
  readonly #wants: WantsInterrupt;
  readonly #put: (byte: number) => void;

  constructor({ port, isStopping }: VcpuContext, { state, output, line }: UartOptions, wants: WantsInterrupt) {
    this.words = new Int32Array(state, 0, WORDS);
    this.#input = new Uint8Array(state, WORDS * 4);
    this.#port = port;
    this.#line = line;
    this.#wants = wants;
    this.#put = ringWriter(output, isStopping);
  }

  /** Reads or writes registers, alone; afterwards the interrupt is what they say. */
  access<T>(change: (words: Words) => T): T {
    return exclusively(this.words, LOCK, () => {
      const result = change(this.words);
      update(this.#port, this.#line, this.words, this.#wants);
      return result;
    });
  }

  get hasInput(): boolean {
    return hasInput(this.words);
  }

  /** Within `access`: the next byte, or null. */
  takeInput(): number | null {
    if (!this.hasInput) return null;
    const read = Atomics.load(this.words, READ);
    const byte = this.#input[(read >>> 0) % ROOM] ?? 0;
    Atomics.store(this.words, READ, (read + 1) | 0);
    Atomics.notify(this.words, READ);
    return byte;
  }

  /** Not within `access`: it waits while nobody takes the output, and whoever types must get through meanwhile. */
  put(byte: number): void {
    this.#put(byte);
  }
}

/** For the main thread: what a person types. */
export class UartInput {
  readonly #words: Words;
  readonly #input: Uint8Array<SharedArrayBuffer>;
  readonly #port: Port;
  readonly #line: InterruptLine;
  readonly #wants: WantsInterrupt;
  #isOver = false;

  constructor(port: Port, { state, line }: UartOptions, wants: WantsInterrupt) {
    this.#words = new Int32Array(state, 0, WORDS);
    this.#input = new Uint8Array(state, WORDS * 4);
    this.#port = port;
    this.#line = line;
    this.#wants = wants;
  }

  /** Is done when the guest has room for all of it, or `end` was called. */
  async type(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0 && !this.#isOver;) {
      const [typed, read] = [Atomics.load(this.#words, TYPED), Atomics.load(this.#words, READ)];
      const part = rest.subarray(0, ROOM - ((typed - read) >>> 0));
      if (part.length === 0) {
        const more = Atomics.waitAsync(this.#words, READ, read);
        if (more.async) await more.value;
        continue;
      }
      for (const [index, byte] of part.entries()) this.#input[((typed + index) >>> 0) % ROOM] = byte;
      rest = rest.subarray(part.length);
      await exclusivelyLater(this.#words, LOCK, () => {
        if (this.#isOver) return;
        Atomics.store(this.#words, TYPED, (typed + part.length) | 0);
        update(this.#port, this.#line, this.#words, this.#wants);
      });
    }
  }

  /** From now on nothing is done with the VM. */
  end(): void {
    this.#isOver = true;
    Atomics.notify(this.#words, READ);
  }
}

function hasInput(words: Words): boolean {
  return Atomics.load(words, TYPED) !== Atomics.load(words, READ);
}

/** With the lock held. */
function update(port: Port, line: InterruptLine, words: Words, wants: WantsInterrupt): void {
  const isHigh = wants(words, hasInput(words));
  if ((Atomics.load(words, LEVEL) !== 0) === isHigh) return;
  Atomics.store(words, LEVEL, isHigh ? 1 : 0);
  setLine(port, line, isHigh);
}
