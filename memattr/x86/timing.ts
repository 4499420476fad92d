/**
 * What the time of an access says of a memory type, beside that of an access to the same place as uncached (UC) memory: the way to
 * the device is the same, so that a slow link changes both. SDM vol. 3A 13.3 "Methods of Caching Available", APM vol. 2 7.4.
 */
import type { AmdType } from './mtrr.ts';
import type { PatType } from './pat.ts';

export const PACES = ['faster', 'alike', 'slower'] as const;

/** An access beside one of another type. */
export type Pace = (typeof PACES)[number];

/** null: between two, or too different from one measurement to the next. */
export interface Paces {
  readonly loads: Pace | null;
  readonly stores: Pace | null;
}

interface Speed {
  readonly loads: 'far' | 'cached';
  /** Each on its own, several at once, or to a cache; null: the CPU's choice. */
  readonly stores: 'single' | 'combined' | 'cached' | null;
}

const UNCACHED: Speed = { loads: 'far', stores: 'single' };
const COMBINING: Speed = { loads: 'far', stores: 'combined' };
/** Stores go on to memory, and a CPU may combine them. */
const READ_CACHED: Speed = { loads: 'cached', stores: null };

const SPEEDS: Readonly<Record<AmdType | PatType, Speed>> = {
  UC: UNCACHED,
  'UC-': UNCACHED,
  CD: UNCACHED,
  WC: COMBINING,
  'WC+': COMBINING,
  WP: READ_CACHED,
  WT: READ_CACHED,
  WB: { loads: 'cached', stores: 'cached' },
};

const BY_NAME: ReadonlyMap<string, Speed> = new Map(Object.entries(SPEEDS));
const SLOWEST_FIRST = ['far', 'single', 'combined', 'cached'] as const;

/** Whether the one type may have such paces beside the other. Both `A or B` where two are possible; a name that is not known may be anything. */
export function mayBePaced(type: string, reference: string, seen: Paces): boolean {
  return type.split(' or ').some((own) => reference.split(' or ').some((other) => mayBeBetween(own, other, seen)));
}

function mayBeBetween(type: string, reference: string, { loads, stores }: Paces): boolean {
  const [own, other] = [BY_NAME.get(type), BY_NAME.get(reference)];
  if (own === undefined || other === undefined) return true;
  if (type === reference) return (loads ?? 'alike') === 'alike' && (stores ?? 'alike') === 'alike';
  return mayBe(own.loads, other.loads, loads) && mayBe(own.stores, other.stores, stores);
}

type Kind = (typeof SLOWEST_FIRST)[number];

function mayBe(own: Kind | null, other: Kind | null, seen: Pace | null): boolean {
  if (own === null || other === null || seen === null) return true;
  const difference = SLOWEST_FIRST.indexOf(own) - SLOWEST_FIRST.indexOf(other);
  return seen === (difference > 0 ? 'faster' : difference < 0 ? 'slower' : 'alike');
}
