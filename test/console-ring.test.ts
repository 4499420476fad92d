import * as fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RingReader, newRing, ringWriter } from '../vmm/devices/console-ring.ts';

const ROOM = 65_536;

describe('the console ring', () => {
  test('gives every byte once and in order, however it is written and taken', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40_000, size: 'max' }), { maxLength: 6 }), async (parts) => {
        const ring = newRing();
        const taken: number[] = [];
        const reader = new RingReader(ring, async (bytes) => {
          await Promise.resolve();
          for (const byte of bytes) taken.push(byte);
        });
        const put = ringWriter(ring, () => false);
        for (const part of parts) {
          for (const byte of part) put(byte);
          await untilTaken(ring);
        }
        await reader.end();
        expect(Buffer.from(taken).equals(Buffer.concat(parts))).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  test('holds no more than its room for a reader that takes nothing, and drops only once the vCPU is to stop', async () => {
    const ring = newRing();
    let asked = 0;
    // The writer asks only when there is no room.
    const put = ringWriter(ring, () => (asked += 1) > 0);
    for (let count = 0; count < ROOM + 10; count += 1) put(count & 0xff);
    expect(asked).toBe(10);
    const sizes: number[] = [];
    await new RingReader(ring, (bytes) => void sizes.push(bytes.length)).end();
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(ROOM);
  });

  test('is told apart from its reader: what that throws comes out at the end, and nobody waits for it', async () => {
    const ring = newRing();
    const reader = new RingReader(ring, () => {
      throw new Error('the pipe is closed');
    });
    const put = ringWriter(ring, () => false);
    for (let count = 0; count < ROOM; count += 1) put(0);
    await untilTaken(ring);
    for (let count = 0; count < ROOM; count += 1) put(0);
    await expect(reader.end()).rejects.toThrow('the pipe is closed');
  });

  test('takes the first byte at once, and what comes soon after it together', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const ring = newRing();
    const taken: string[] = [];
    const reader = new RingReader(ring, (bytes) => void taken.push(Buffer.from(bytes).toString()), 5);
    const put = ringWriter(ring, () => false);
    const say = async (text: string): Promise<void> => {
      for (const byte of Buffer.from(text)) {
        put(byte);
        await nextTurn();
      }
    };
    await say('abc');
    expect(taken).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(5);
    expect(taken).toEqual(['a', 'bc']);
    await vi.advanceTimersByTimeAsync(5);
    await say('de');
    expect(taken).toEqual(['a', 'bc', 'd']);
    // Whoever waits for the end does not wait for more.
    await reader.end();
    expect(taken).toEqual(['a', 'bc', 'd', 'e']);
  });

  test('can be left with a reader that is stuck', async () => {
    const ring = newRing();
    const { promise: stuck, resolve } = withResolvers();
    const taken: number[] = [];
    const reader = new RingReader(ring, async (bytes) => {
      taken.push(bytes.length);
      await stuck;
    });
    ringWriter(ring, () => false)(1);
    await nextTurn();
    reader.abandon();
    resolve();
    await nextTurn();
    expect(taken).toEqual([1]);
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function nothing(): void {}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = nothing;
  const promise = new Promise<void>((fulfil) => (resolve = fulfil));
  return { promise, resolve: () => resolve() };
}

/** As many turns of the event loop as the reader takes; the words are those of the ring's head. */
async function untilTaken(ring: SharedArrayBuffer): Promise<void> {
  const words = new Int32Array(ring, 0, 4);
  while (Atomics.load(words, 1) !== Atomics.load(words, 2)) await nextTurn();
}
