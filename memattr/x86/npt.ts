/** AMD's stage 2: the host's PAT, indexed by a nested page table's leaf. APM vol. 2, 15.25.8 "Combining Memory Types, MTRRs". */
import type { MtrrType } from '../model.ts';
import { combineAmd, withCachesDisabled } from './mtrr.ts';
import type { AmdType } from './mtrr.ts';
import type { PatType } from './pat.ts';

/** APM vol. 2 table 15-19, by the guest's type, then by the host's. Nothing there lets the host override a guest's WC. */
const COMBINED: Readonly<Record<PatType, Readonly<Record<PatType, PatType | 'WC+'>>>> = {
  UC: { UC: 'UC', 'UC-': 'UC', WC: 'UC', WP: 'UC', WT: 'UC', WB: 'UC' },
  'UC-': { UC: 'UC', 'UC-': 'UC-', WC: 'WC', WP: 'UC', WT: 'UC', WB: 'UC' },
  WC: { UC: 'WC', 'UC-': 'WC', WC: 'WC', WP: 'WC+', WT: 'WC+', WB: 'WC+' },
  WP: { UC: 'UC', 'UC-': 'UC', WC: 'UC', WP: 'WP', WT: 'UC', WB: 'WP' },
  WT: { UC: 'UC', 'UC-': 'UC', WC: 'UC', WP: 'UC', WT: 'WT', WB: 'WT' },
  WB: { UC: 'UC', 'UC-': 'UC', WC: 'WC', WP: 'WP', WT: 'WT', WB: 'WB' },
};

/** Of the guest's PAT type and that of the nested page table, before the MTRRs. */
export function combinePats(guest: PatType, host: PatType): PatType | 'WC+' {
  return COMBINED[guest][host];
}

/**
 * The type of a guest's access: both PATs combined, then the host's MTRR of the system-physical address.
 *
 * @param cacheDisable CR0.CD of the guest or of the host: either is enough
 */
export function combineNpt(guest: PatType, host: PatType, mtrr: MtrrType, cacheDisable = false): AmdType {
  const type = combineAmd(combinePats(guest, host), mtrr);
  return cacheDisable ? withCachesDisabled(type) : type;
}
