/**
 * Which memory types Linux has on record for physical memory: /sys/kernel/debug/x86/pat_memtype_list, whose lines are
 *   PAT: [mem 0x00000000fe000000-0x00000000fe400000] uncached-minus
 * One for each reservation, so ranges may overlap (memtype_seq_show(), arch/x86/mm/pat/memtype.c). RAM is not in it.
 */
import type { PatType } from '../../../memattr/index.ts';

export interface Memtype {
  /** Physical bytes [start, end). */
  readonly start: bigint;
  readonly end: bigint;
  readonly type: PatType;
}

/** cattr_name(), arch/x86/mm/pat/memtype.h. */
const NAMES: ReadonlyMap<string, PatType> = new Map([
  ['uncached', 'UC'],
  ['uncached-minus', 'UC-'],
  ['write-combining', 'WC'],
  ['write-through', 'WT'],
  ['write-protected', 'WP'],
  ['write-back', 'WB'],
]);

const LINE = /^PAT: \[mem 0x([0-9a-f]{16})-0x([0-9a-f]{16})\] ([a-z-]+)$/;

/** Throws RangeError for a line that is neither an entry nor the heading: a list that is read in part proves nothing. */
export function parseMemtypeList(text: string): readonly Memtype[] {
  return text.split('\n').flatMap((line): Memtype[] => {
    if (line === '' || line === 'PAT memtype list:') return [];
    const [, start, end, name] = LINE.exec(line) ?? [];
    const type = NAMES.get(name ?? '');
    if (type === undefined)
      throw new RangeError(`the PAT memtype list has the line "${line}"; expected PAT: [mem 0x...-0x...] and a type.`);
    return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), type }];
  });
}

/** The types of all reservations that touch [start, start + length), in the list's order, each once. */
export function memtypesOf(list: readonly Memtype[], start: bigint, length: bigint): readonly PatType[] {
  return [
    ...new Set(list.filter((entry) => entry.start < start + length && entry.end > start).map(({ type }) => type)),
  ];
}
