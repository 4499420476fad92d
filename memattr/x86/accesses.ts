/**
 * What AMD's CPUs record of a sampled access ("instruction-based sampling"): IbsOpData3, MSR C001_1037, as the PPRs of families 10h to
 * 1Ah and Linux (union ibs_op_data3, arch/x86/include/asm/amd/ibs.h) have it.
 */
import type { ArchitectureModel, Platform, Stage1Type } from '../model.ts';
import type { AmdType } from './mtrr.ts';
import type { PatType } from './pat.ts';

/** DcWcMemAcc and DcUcMemAcc: a load or store of write-combining, of uncacheable memory. */
export const RECORDED = ['combining', 'uncached'] as const;

export type Recorded = (typeof RECORDED)[number];

/** How many sampled accesses the CPU recorded as what. */
export type AccessCounts = Readonly<Record<Recorded, number>>;

const LOAD_OR_STORE = 0b11n;
const DC_WC_MEM_ACC = 1n << 13n;
const DC_UC_MEM_ACC = 1n << 14n;

/** null: no load or store, or one of which neither is recorded, which says nothing here. */
export function recordedAs(opData3: bigint): Recorded | null {
  if ((opData3 & LOAD_OR_STORE) === 0n) return null;
  if ((opData3 & DC_UC_MEM_ACC) !== 0n) return 'uncached';
  return (opData3 & DC_WC_MEM_ACC) !== 0n ? 'combining' : null;
}

/** null: no manual says which, so that each may be. */
const RECORDED_AS: Readonly<Record<AmdType | PatType, Recorded | 'neither' | null>> = {
  UC: 'uncached',
  'UC-': 'uncached',
  CD: null,
  WC: 'combining',
  'WC+': null,
  WP: 'neither',
  WT: 'neither',
  WB: 'neither',
};

const BY_NAME: ReadonlyMap<string, Recorded | 'neither' | null> = new Map(Object.entries(RECORDED_AS));

/** May the CPU record an access so? @param effective `A or B` where two are possible */
export function mayBeRecorded(effective: string, as: Recorded): boolean {
  return effective.split(' or ').some((type) => {
    const own = BY_NAME.get(type) ?? null;
    return own === null || own === as;
  });
}

/** Whether a record of it can confirm the type: it is known which that must be. */
export function isRecorded(effective: string): boolean {
  return effective.split(' or ').every((type) => RECORDED.some((one) => one === BY_NAME.get(type)));
}

/** Stage-2 types with which an access would not have been recorded so. */
export function excludedByRecord(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  as: Recorded,
): readonly string[] {
  return model.stage2Types(platform).filter((other) => !mayBeRecorded(model.effective(stage1, other, platform), as));
}
