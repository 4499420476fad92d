import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POINTS, calibrate, cellOfPoint, figureOf, quantile } from '../tool/bench/points.ts';
import { ABI } from '../tool/verify/guest/abi.ts';

const record = (amount: number, ticks: number): { values: readonly [bigint, bigint, bigint, bigint] } => ({
  values: [BigInt(amount), BigInt(ticks), 0n, 0n],
});
const bursts = { window: 0, stage1: 'WC', quantity: 'store-bandwidth', size: 4096, stride: 8, repetitions: 1 } as const;

describe('calibrate', () => {
  it('fits a sample to 200 µs of the clock', () => {
    // 100 ticks of a 25 MHz clock are 4 µs.
    expect(calibrate(10, 100, 25e6)).toBe(500);
    expect(calibrate(500, 5000, 25e6)).toBe(500);
    expect(calibrate(500, 50_000, 25e6)).toBe(50);
  });

  it('goes on in steps from a sample that was too short, and fits without a rate', () => {
    expect(calibrate(1, 0, 1e9)).toBe(64);
    expect(calibrate(1, 20_000, 0)).toBe(10);
  });

  it('never asks for what the guest would refuse', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: ABI.maxRepetitions }),
        fc.nat(),
        fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 10_000_000_000 })),
        (repetitions, ticks, rate) => {
          const fitted = calibrate(repetitions, ticks, rate);
          expect(Number.isInteger(fitted)).toBe(true);
          expect(fitted).toBeGreaterThanOrEqual(1);
          expect(fitted).toBeLessThanOrEqual(ABI.maxRepetitions);
        },
      ),
    );
  });
});

describe('points', () => {
  it('are all cells that the guest accepts, each once', () => {
    const cells = POINTS.map((point) => cellOfPoint(point, ABI.maxRepetitions, 3, 2));
    expect(new Set(cells.map(({ probe, argument }) => `${probe} ${argument}`)).size).toBe(POINTS.length);
    for (const cell of cells) expect(cell).toMatchObject({ window: 3, stage1: 2, offset: 0n });
  });

  it('ask for both probes', () => {
    expect(new Set(POINTS.map((point) => cellOfPoint(point, 1, 0, 0).probe))).toEqual(
      new Set(['store-bandwidth', 'load-latency']),
    );
  });
});

describe('figureOf', () => {
  it('is the median of rates, with its quartiles', () => {
    const records = [1000, 2000, 4000, 8000, 16_000].map((ticks) => record(4096, ticks));
    expect(figureOf(bursts, records, 1e9)).toEqual({ ...bursts, unit: 'MB/s', median: 1024, low: 512, high: 2048 });
    expect(figureOf({ ...bursts, quantity: 'load-latency' }, [record(64, 6400)], 1e8)).toMatchObject({
      unit: 'ns',
      median: 1000,
      low: 1000,
      high: 1000,
    });
  });

  it('counts in ticks where nobody knows the rate', () => {
    expect(figureOf(bursts, [record(4096, 1024)], 0)).toMatchObject({ unit: 'bytes/tick', median: 4 });
    expect(figureOf({ ...bursts, quantity: 'write-to-visible' }, [record(64, 128)], 0)).toMatchObject({
      unit: 'ticks',
      median: 2,
    });
  });

  it('is finite and in order, whatever a guest says', () => {
    const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(u64, u64), { minLength: 1 }),
        fc.constantFrom('store-bandwidth', 'load-latency'),
        fc.constantFrom(0, 25e6),
        (values, quantity, rate) => {
          const { low, median, high } = figureOf(
            { ...bursts, quantity },
            values.map(([amount, ticks]) => ({ values: [amount, ticks, 0n, 0n] as const })),
            rate,
          );
          expect([low, median, high].every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
          expect(low).toBeLessThanOrEqual(median);
          expect(median).toBeLessThanOrEqual(high);
        },
      ),
    );
  });
});

describe('quantile', () => {
  it('lies between two values in proportion, with four digits', () => {
    expect([0, 0.25, 0.5, 1].map((part) => quantile([1, 2, 3, 10], part))).toEqual([1, 1.75, 2.5, 10]);
    expect(quantile([123_456], 0.5)).toBe(123_500);
  });
});
