/** timing-class's record (x86-tests/probes/timing-class.c): intervals for the window, and for the same place uncached. */
import type { Interval, Timing } from '../report/report.ts';

/** @param values loads and stores of the window, then uncached; null: an interval that no clock can have given */
export function timingOf(values: readonly bigint[]): Timing | null {
  const [ownLoads = 0n, ownStores = 0n, uncachedLoads = 0n, uncachedStores = 0n] = values;
  const [loads, stores] = [ratioOf(uncachedLoads, ownLoads), ratioOf(uncachedStores, ownStores)];
  return loads === null || stores === null ? null : { loads, stores };
}

/** What is certain of `uncached / own` where each lies somewhere in its interval. */
function ratioOf(uncached: bigint, own: bigint): Interval | null {
  const [over, under] = [intervalOf(uncached), intervalOf(own)];
  if (over === null || under === null) return null;
  return { low: over.low / under.high, high: over.high / under.low };
}

/** Bits 31:0 and 63:32. */
function intervalOf(value: bigint): Interval | null {
  const [low, high] = [Number(value & 0xffff_ffffn), Number(value >> 32n)];
  return low > 0 && low <= high ? { low, high } : null;
}
