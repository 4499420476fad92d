/** What the intervals of a check's timing say (memattr/x86/timing.ts has what they mean for a type). */
import type { AccessCounts, Pace, Paces } from '../../memattr/index.ts';
import type { Interval, Timing } from './report.ts';

/**
 * A cached load takes nanoseconds and one over a link hundreds: there is much room between. Of stores less: on the slowest link eight
 * of them with a header each take 2.6 times as long as one of 64 bytes, and measurements of one type differ by a tenth.
 */
const LEAST_OF_FASTER = { loads: 4, stores: 1.5 } as const;
const MOST_OF_ALIKE = 1.25;

export function pacesOf({ loads, stores }: Timing): Paces {
  return { loads: paceOf(loads, LEAST_OF_FASTER.loads), stores: paceOf(stores, LEAST_OF_FASTER.stores) };
}

function paceOf({ low, high }: Interval, faster: number): Pace | null {
  if (low >= faster) return 'faster';
  if (high <= 1 / faster) return 'slower';
  return low >= 1 / MOST_OF_ALIKE && high <= MOST_OF_ALIKE ? 'alike' : null;
}

export function timingText({ loads, stores }: Timing): string {
  return `uncached, the window's loads take ${times(loads)} as long, and its stores ${times(stores)}`;
}

/** What the CPU recorded of accesses that were sampled. */
export function recordText({ combining, uncached }: AccessCounts): string {
  return `of the accesses that were sampled, the CPU recorded ${combining} as write-combining and ${uncached} as uncacheable`;
}

function times({ low, high }: Interval): string {
  return `${low.toFixed(1)} to ${high.toFixed(1)} times`;
}
