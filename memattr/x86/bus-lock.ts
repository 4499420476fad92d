/** SDM vol. 3A 10.1.2 "Bus Locking", APM vol. 2 7.3.2: only a locked access to write-back memory can do with a cache line's lock. */
import type { AmdType } from './mtrr.ts';
import type { PatType } from './pat.ts';

const LOCKS_BUS: Readonly<Record<AmdType | PatType, boolean>> = {
  UC: true,
  'UC-': true,
  CD: true,
  WC: true,
  'WC+': true,
  WP: true,
  WT: true,
  WB: false,
};

const BY_NAME: ReadonlyMap<string, boolean> = new Map(Object.entries(LOCKS_BUS));

/** Whether an aligned locked access locks the bus. @param effective `A or B` where two are possible; null: that decides it, or is not known */
export function locksBus(effective: string): boolean | null {
  const [first, ...others] = effective.split(' or ').map((name) => BY_NAME.get(name) ?? null);
  return first === undefined || others.some((other) => other !== first) ? null : first;
}
