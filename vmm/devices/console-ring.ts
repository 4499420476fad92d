/**
 * A guest's output on its way from the vCPUs' threads to the main one: a ring of bytes in shared memory. A guest that
 * writes faster than somebody reads waits for room, so that no guest can make the host's memory grow.
 */
import { exclusively } from '../bus/shared.ts';

/** Words of the ring's head: a lock, and how many bytes were ever written and taken (modulo 2^32). */
const LOCK = 0;
const WRITTEN = 1;
const TAKEN = 2;
const HEAD_BYTES = 16;

/** Bytes; a power of two. */
const ROOM = 1 << 16;

/** How long a writer waits before it looks again whether its vCPU is to stop, milliseconds. */
const LOOK_AGAIN = 20;

export function newRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + ROOM);
}

interface Ring {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
}

function ringIn(buffer: SharedArrayBuffer): Ring {
  return { words: new Int32Array(buffer, 0, HEAD_BYTES / 4), bytes: new Uint8Array(buffer, HEAD_BYTES) };
}

/** For the vCPUs' threads: waits while the ring is full. A byte is dropped only when the vCPU is to stop. */
export function ringWriter(buffer: SharedArrayBuffer, isStopping: () => boolean): (byte: number) => void {
  const { words, bytes } = ringIn(buffer);
  return (byte) =>
    exclusively(words, LOCK, () => {
      const written = Atomics.load(words, WRITTEN);
      for (
        let taken = Atomics.load(words, TAKEN);
        ((written - taken) | 0) >= ROOM;
        taken = Atomics.load(words, TAKEN)
      ) {
        if (isStopping()) return;
        Atomics.wait(words, TAKEN, taken, LOOK_AGAIN);
      }
      bytes[(written >>> 0) % ROOM] = byte;
      Atomics.store(words, WRITTEN, (written + 1) | 0);
      Atomics.notify(words, WRITTEN);
    });
}

/** Takes what a guest wrote. Where it returns a promise, the guest gets the room back only when that is fulfilled. */
export type TakeOutput = (bytes: Uint8Array) => void | Promise<void>;

/**
 * For the main thread: gives `take` all that comes, in order. Once `take` has failed the rest is dropped, so that no guest
 * waits for it.
 */
export class RingReader {
  readonly #ring: Ring;
  readonly #reading: Promise<void>;
  #take: TakeOutput;
  #isOver = false;
  #failure: { readonly error: unknown } | null = null;
  readonly #gatherMs: number;
  #endGathering = (): void => {};

  /**
   * @param gatherMs how long what comes after something that was taken may wait for more, milliseconds: a guest that writes byte by
   *   byte would otherwise wake this thread for each
   */
  constructor(buffer: SharedArrayBuffer, take: TakeOutput, gatherMs = 0) {
    this.#ring = ringIn(buffer);
    this.#take = take;
    this.#gatherMs = gatherMs;
    this.#reading = this.#read();
  }

  /** Takes what is left, and waits for that. Throws the first thing that `take` threw. */
  async end(): Promise<void> {
    this.#announceEnd();
    await this.#reading;
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** When half of the ring is free: for a writer in the reader's own thread, which must not wait for room. */
  async room(): Promise<void> {
    const { words } = this.#ring;
    for (;;) {
      const taken = Atomics.load(words, TAKEN);
      if ((Atomics.load(words, WRITTEN) - taken) >>> 0 <= ROOM / 2) return;
      const more = Atomics.waitAsync(words, TAKEN, taken);
      if (more.async) await more.value;
    }
  }

  /** Drops what is left, and waits for nobody: a reader that is stuck must not keep an interrupted run from ending. */
  abandon(): void {
    this.#take = () => {};
    this.#announceEnd();
  }

  #announceEnd(): void {
    this.#isOver = true;
    this.#endGathering();
    Atomics.notify(this.#ring.words, WRITTEN);
  }

  async #read(): Promise<void> {
    while (!this.#isOver) {
      const before = Atomics.load(this.#ring.words, TAKEN);
      const written = await this.#takeAll();
      if (written !== before && this.#gatherMs > 0 && !this.#isOver) {
        await this.#gather();
        continue;
      }
      const more = Atomics.waitAsync(this.#ring.words, WRITTEN, written);
      // Between the two the end may have been announced, and nothing else will come.
      if (more.async && !this.#isOver) await more.value;
    }
    await this.#takeAll();
  }

  #gather(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#gatherMs);
      this.#endGathering = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Returns how many bytes were written when there were no more. */
  async #takeAll(): Promise<number> {
    const { words, bytes } = this.#ring;
    for (;;) {
      const [written, taken] = [Atomics.load(words, WRITTEN), Atomics.load(words, TAKEN)];
      if (written === taken) return written;
      const start = (taken >>> 0) % ROOM;
      const length = Math.min((written - taken) >>> 0, ROOM - start);
      try {
        await this.#take(bytes.slice(start, start + length));
      } catch (error) {
        this.#failure ??= { error };
        this.#take = () => {};
      }
      Atomics.store(words, TAKEN, (taken + length) | 0);
      Atomics.notify(words, TAKEN);
    }
  }
}
