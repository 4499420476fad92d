import type { Outcome } from './tap.ts';
import type { Result } from './transcript.ts';

export interface Totals {
  pass: number;
  fail: number;
  skip: number;
}

export function totalsOf(results: readonly Pick<Outcome, 'status'>[]): Totals {
  const totals = { pass: 0, fail: 0, skip: 0 };
  for (const { status } of results) totals[status] += 1;
  return totals;
}

/** A test that came out in two ways; null = the kernel has no such test. */
export interface Difference {
  readonly before: Result | null;
  readonly after: Result | null;
}

export interface Comparison {
  /** Tests that came out alike. */
  readonly same: readonly Result[];
  /** Tests that have something to test on the second kernel only, and pass there. */
  readonly gained: readonly Result[];
  /** What the second kernel does otherwise. */
  readonly different: readonly Difference[];
}

/** Compares a kernel's results with those of the kernel that it was made from. */
export function compareResults(before: readonly Result[], after: readonly Result[]): Comparison {
  const left = new Map(before.map((result) => [keyOf(result), result]));
  const same: Result[] = [];
  const gained: Result[] = [];
  const different: Difference[] = [];
  for (const result of after) {
    const old = left.get(keyOf(result)) ?? null;
    left.delete(keyOf(result));
    if (old?.status === result.status) same.push(result);
    else if (result.status === 'pass' && (old === null || old.status === 'skip')) gained.push(result);
    else different.push({ before: old, after: result });
  }
  for (const old of left.values()) different.push({ before: old, after: null });
  return { same, gained, different };
}

function keyOf({ program, device, test }: Result): string {
  return JSON.stringify([program, device, test]);
}
