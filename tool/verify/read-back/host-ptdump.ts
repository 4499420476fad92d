/**
 * The host's own page tables, of the process that reads them: /sys/kernel/debug/page_tables/current_kernel (with page
 * table isolation that is the half with everything in it; current_user may not exist). arch/x86/mm/dump_pagetables.c:
 *   0x00007f1c40000000-0x00007f1c40400000           4M USR RW PWT     PSE         NX pmd
 */
import { LINUX_PAT, lookUpPat } from '../../../memattr/index.ts';
import type { Pat, PatBits } from '../../../memattr/index.ts';
import type { Stage2Reading } from './stage2.ts';

export interface HostRange {
  /** Virtual bytes [start, end) that are mapped alike. */
  readonly start: bigint;
  readonly end: bigint;
  /** Bytes per entry. */
  readonly entrySize: number;
  readonly user: boolean;
  readonly writable: boolean;
  readonly cache: PatBits;
}

const LINE =
  /^0x([0-9a-f]{16})-0x([0-9a-f]{16}) {3} *\d+[BKMGTPE] (USR| {3}) (RW|ro) (PWT| {3}) (PCD| {3}) (PSE| {3}) (PAT| {3}) (?:GLB| {3}) (?:NX|x ) (pgd|p4d|pud|pmd|pte)$/;

const ENTRY_SIZE: Readonly<Record<string, number>> = { pte: 2 ** 12, pmd: 2 ** 21, pud: 2 ** 30 };

/** The ranges that are mapped. Holes, headings, and entries that only lead to other tables are passed over. */
export function parseHostPtdump(text: string): readonly HostRange[] {
  return text.split('\n').flatMap((line): HostRange[] => {
    const [, start, end, user, access, pwt, pcd, large, pat, level] = LINE.exec(line) ?? [];
    const entrySize = ENTRY_SIZE[level ?? ''];
    if (entrySize === undefined || (level !== 'pte' && large !== 'PSE')) return [];
    const cache = { pwt: pwt === 'PWT', pcd: pcd === 'PCD', pat: pat === 'PAT' };
    return [
      {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        entrySize,
        user: user === 'USR',
        writable: access === 'RW',
        cache,
      },
    ];
  });
}

/** The type of what is mapped at [address, address + length), as memattr names host mappings. @param pat the host's */
export function readHostRange(
  ranges: readonly HostRange[],
  address: bigint,
  length: bigint,
  pat: Pat = LINUX_PAT,
): Stage2Reading {
  const inside = ranges.filter(({ start, end }) => start < address + length && end > address);
  const types = [
    ...new Set(
      inside
        .map(({ cache }) => lookUpPat(cache, pat))
        .map((entry) => (entry.kind === 'type' ? entry.type : 'reserved')),
    ),
  ];
  return {
    memoryType: types.length === 1 ? (types[0] ?? null) : null,
    blockSize: inside.length === 0 ? null : Math.max(...inside.map(({ entrySize }) => entrySize)),
    mixed: types.length > 1,
  };
}
