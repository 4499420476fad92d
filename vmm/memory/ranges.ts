/** Where guest RAM lies: a size, cut around what must stay free. Guest-physical bytes throughout. */
import type { RamRange } from './ram.ts';

export interface RamSpace {
  /** RAM lies at or above it, a multiple of `step`. */
  readonly from: bigint;
  /** And below it. */
  readonly limit: bigint;
  /** What nothing may lie in: windows of devices, and IOVAs that an IOMMU keeps. In any order; they may overlap. */
  readonly holes: readonly RamRange[];
  /** Every range starts and ends at a multiple of it, but for the last one's end. */
  readonly step: bigint;
}

/** The lowest ranges, ascending, that hold `size` bytes together; null where the space has no such room. */
export function ramAround(size: bigint, { from, limit, holes, step }: RamSpace): readonly RamRange[] | null {
  const ranges: RamRange[] = [];
  let rest = size;
  let at = from;
  const take = (end: bigint): void => {
    const length = end - at < rest ? end - at : rest;
    if (length <= 0n) return;
    ranges.push({ gpa: at, length });
    rest -= length;
  };
  for (const { gpa, length } of holes.toSorted((a, b) => (a.gpa < b.gpa ? -1 : 1))) {
    if (length <= 0n) continue;
    const start = gpa < limit ? gpa : limit;
    take(start - (start % step));
    const end = gpa + length;
    if (end > at) at = end + ((step - (end % step)) % step);
  }
  take(limit);
  return rest === 0n ? ranges : null;
}
