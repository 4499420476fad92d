/** What is measured of each window and stage-1 type, how often, and what a set of samples comes to. Pure. */
import { ABI } from '../verify/guest/abi.ts';
import type { Cell } from '../verify/guest/abi.ts';
import { measureArgument } from '../verify/guest/measure.ts';
import type { GuestRecord } from '../verify/guest/records.ts';
import type { Figure, Quantity, Unit } from '../report/report.ts';

export interface Point {
  readonly quantity: Quantity;
  /** Bytes. */
  readonly size: number;
  readonly stride: number;
}

const WORD = 8;
const LINE = 64;
const STRETCH = 4096;

/** A burst of each size, from one line (a doorbell with its descriptor) up; then a whole page by each stride; then what one access costs. */
export const POINTS: readonly Point[] = [
  ...[64, 128, 256, 512, 1024, 2048, STRETCH].map((size): Point => ({
    quantity: 'store-bandwidth',
    size,
    stride: WORD,
  })),
  ...[16, 32, 64, 128, 256].map((stride): Point => ({ quantity: 'store-bandwidth', size: STRETCH, stride })),
  { quantity: 'load-latency', size: STRETCH, stride: LINE },
  { quantity: 'write-to-visible', size: STRETCH, stride: LINE },
];

export function cellOfPoint(
  { quantity, size, stride }: Point,
  repetitions: number,
  window: number,
  stage1: number,
): Cell {
  const probe = quantity === 'store-bandwidth' ? 'store-bandwidth' : 'load-latency';
  return {
    window,
    stage1,
    probe,
    offset: 0n,
    argument: measureArgument({ repetitions, size, stride, storeFirst: quantity === 'write-to-visible' }),
  };
}

/** A sample should last so long: many ticks of any clock, and short beside what interrupts a guest. */
const SAMPLE_SECONDS = 200e-6;
/** Where the rate of the guest's clock is not known. */
const SAMPLE_TICKS = 200_000;
/** A sample of few ticks says little of how long many would last: calibration goes on from it in steps. */
const LARGEST_STEP = 64;

/** How often to go over a burst, from how long some repetitions took. */
export function calibrate(repetitions: number, ticks: number, ticksPerSecond: number): number {
  const wanted = ticksPerSecond > 0 ? ticksPerSecond * SAMPLE_SECONDS : SAMPLE_TICKS;
  const step = Math.min(wanted / Math.max(ticks, 1), LARGEST_STEP);
  return Math.min(Math.max(Math.ceil(repetitions * step), 1), ABI.maxRepetitions);
}

/** Median and quartiles of what the guest's records say each: bytes or accesses in values[0], ticks in values[1]. */
export function figureOf(
  of: Omit<Figure, 'effective' | 'unit' | 'median' | 'low' | 'high'>,
  records: readonly Pick<GuestRecord, 'values'>[],
  ticksPerSecond: number,
): Omit<Figure, 'effective'> {
  const { quantity } = of;
  const values = records
    .map(({ values: [amount, ticks] }) => valueOf(quantity, Number(amount), Math.max(Number(ticks), 1), ticksPerSecond))
    .toSorted((a, b) => a - b);
  return {
    ...of,
    unit: unitOf(quantity, ticksPerSecond),
    median: quantile(values, 0.5),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
  };
}

function unitOf(quantity: Quantity, ticksPerSecond: number): Unit {
  if (quantity === 'store-bandwidth') return ticksPerSecond > 0 ? 'MB/s' : 'bytes/tick';
  return ticksPerSecond > 0 ? 'ns' : 'ticks';
}

function valueOf(quantity: Quantity, amount: number, ticks: number, ticksPerSecond: number): number {
  if (quantity === 'store-bandwidth')
    return ticksPerSecond > 0 ? (amount * ticksPerSecond) / ticks / 1e6 : amount / ticks;
  const each = ticks / Math.max(amount, 1);
  return ticksPerSecond > 0 ? (each * 1e9) / ticksPerSecond : each;
}

/** Between two values, in proportion; four significant digits are more than any run repeats. */
export function quantile(sorted: readonly number[], part: number): number {
  const at = (sorted.length - 1) * part;
  const [below = 0, above = below] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return Number((below + (above - below) * (at - Math.floor(at))).toPrecision(4));
}
