import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ramAround } from '../vmm/memory/ranges.ts';
import type { RamRange } from '../vmm/memory/ram.ts';
import { randomRuns } from './random-runs.ts';

const STEP = 4n;
const LIMIT = 96n;

const hole = fc.record({ gpa: fc.bigInt(0n, 110n), length: fc.bigInt(0n, 30n) });

/** One entry a byte: may RAM lie there? A step is usable when all of it is. */
function usableBytes(from: bigint, holes: readonly RamRange[]): readonly bigint[] {
  const inHole = (byte: bigint): boolean => holes.some(({ gpa, length }) => byte >= gpa && byte < gpa + length);
  const bytes: bigint[] = [];
  for (let step = from; step + STEP <= LIMIT; step += STEP) {
    const all = Array.from({ length: Number(STEP) }, (_, index) => step + BigInt(index));
    if (!all.some(inHole)) bytes.push(...all);
  }
  return bytes;
}

test('RAM is the lowest bytes that a bitmap leaves free, whatever the holes', () => {
  fc.assert(
    fc.property(fc.array(hole, { maxLength: 6 }), fc.bigInt(0n, 6n), fc.bigInt(1n, 100n), (holes, steps, size) => {
      const from = steps * STEP;
      const usable = usableBytes(from, holes);
      const ranges = ramAround(size, { from, limit: LIMIT, holes, step: STEP });
      const bytes = ranges?.flatMap(({ gpa, length }) =>
        Array.from({ length: Number(length) }, (_, index) => gpa + BigInt(index)),
      );
      expect(bytes ?? null).toEqual(usable.length < size ? null : usable.slice(0, Number(size)));
    }),
    { numRuns: randomRuns(2000) },
  );
});

test('neighbours are one range', () => {
  const G = 1n << 30n;
  const holes = [{ gpa: 3n * G, length: G }];
  expect(ramAround(8n * G, { from: 0n, limit: 256n * G, holes, step: 2n << 20n })).toEqual([
    { gpa: 0n, length: 3n * G },
    { gpa: 4n * G, length: 5n * G },
  ]);
});
