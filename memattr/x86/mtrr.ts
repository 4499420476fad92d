/** PAT and MTRR combined: the type of an access without nested paging, such as one of the host's own. */
import type { MtrrType } from '../model.ts';
import type { PatType } from './pat.ts';

type Row = Readonly<Record<PatType, MtrrType>>;

/**
 * Intel SDM vol. 3 table 13-7. What it marks as undefined in old editions is decided for every CPU that has both a PAT
 * and MTRRs (its note 3). Where the page tables make a page UC, the CPU still snoops its caches (note 2), which changes no
 * name.
 */
const INTEL: Readonly<Record<MtrrType, Row>> = {
  UC: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WP: 'UC', WT: 'UC', WB: 'UC' },
  WC: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WP: 'UC', WT: 'UC', WB: 'WC' },
  WP: { UC: 'UC', 'UC-': 'WC', WC: 'WC', WP: 'WP', WT: 'WT', WB: 'WP' },
  WT: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WP: 'WP', WT: 'WT', WB: 'WT' },
  WB: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WP: 'WP', WT: 'WT', WB: 'WB' },
};

/** Intel: the effective type of a page, with caches on (CR0.CD = 0). */
export function combineIntel(pat: PatType, mtrr: MtrrType): MtrrType {
  return INTEL[mtrr][pat];
}

/**
 * AMD: CD is uncached memory whose accesses snoop the caches, the result of conflicting types or of CR0.CD; WC+ is WC
 * that snoops the caches, and only nested paging makes it (APM vol. 2, 7.4 and 15.25.8).
 */
export type AmdType = MtrrType | 'CD' | 'WC+';

/** APM vol. 2 table 15-20, which is table 7-11 and a row for WC+. */
const AMD: Readonly<Record<PatType | 'WC+', Readonly<Record<MtrrType, AmdType>>>> = {
  UC: { UC: 'UC', WC: 'CD', WP: 'CD', WT: 'CD', WB: 'CD' },
  'UC-': { UC: 'UC', WC: 'WC', WP: 'CD', WT: 'CD', WB: 'CD' },
  WC: { UC: 'WC', WC: 'WC', WP: 'WC', WT: 'WC', WB: 'WC' },
  'WC+': { UC: 'WC', WC: 'WC', WP: 'WC+', WT: 'WC+', WB: 'WC+' },
  WP: { UC: 'UC', WC: 'CD', WP: 'WP', WT: 'CD', WB: 'WP' },
  WT: { UC: 'UC', WC: 'CD', WP: 'CD', WT: 'WT', WB: 'WT' },
  WB: { UC: 'UC', WC: 'WC', WP: 'WP', WT: 'WT', WB: 'WB' },
};

/** AMD: the effective type of a page, with caches on. `pat` is WC+ only where a guest's and the host's PAT were combined. */
export function combineAmd(pat: PatType | 'WC+', mtrr: MtrrType): AmdType {
  return AMD[pat][mtrr];
}

/** AMD with CR0.CD set, of the guest or of the host: what could be cached becomes CD (APM vol. 2 7.4). */
export function withCachesDisabled(type: AmdType): AmdType {
  return type === 'WB' || type === 'WT' || type === 'WP' ? 'CD' : type;
}
