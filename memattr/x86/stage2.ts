/**
 * Stage 2 on x86 and its names: `EPT UC`, and `EPT UC IPAT` where the guest's PAT is ignored; `NPT WC`, by the entry
 * of the host's PAT that the leaf chooses; `unknown` where KVM uses neither or it is not known.
 */
import { MTRR_TYPES } from '../model.ts';
import type { NestedPaging, Platform } from '../model.ts';
import { combineEpt, decodeEpt } from './ept.ts';
import type { EptType } from './ept.ts';
import { combineNpt } from './npt.ts';
import { LINUX_PAT, PAT_TYPES, lookUpPat, patBitsOf } from './pat.ts';
import type { Pat, PatType } from './pat.ts';

export type X86Stage2 =
  | ({ readonly paging: 'ept' } & EptType)
  | { readonly paging: 'npt'; readonly type: PatType }
  | { readonly paging: 'unknown' };

export function nameOfX86Stage2(stage2: X86Stage2): string {
  switch (stage2.paging) {
    case 'ept':
      return `EPT ${stage2.type}${stage2.ignorePat ? ' IPAT' : ''}`;
    case 'npt':
      return `NPT ${stage2.type}`;
    case 'unknown':
      return 'unknown';
  }
}

/** All that an entry can say. */
export const X86_STAGE2: readonly X86Stage2[] = [
  ...MTRR_TYPES.flatMap((type): X86Stage2[] => [false, true].map((ignorePat) => ({ paging: 'ept', type, ignorePat }))),
  ...PAT_TYPES.map((type): X86Stage2 => ({ paging: 'npt', type })),
  { paging: 'unknown' },
];

const BY_NAME = new Map(X86_STAGE2.map((stage2) => [nameOfX86Stage2(stage2), stage2]));

/** Throws RangeError for a name that `nameOfX86Stage2` does not give. */
export function x86Stage2Of(name: string): X86Stage2 {
  const stage2 = BY_NAME.get(name);
  if (stage2 === undefined)
    throw new RangeError(`x86 has no stage-2 type ${name}; expected ${[...BY_NAME.keys()].join(', ')}.`);
  return stage2;
}

/**
 * The name of what a leaf says: one of the above, or `reserved`.
 *
 * @param large the leaf maps more than 4 KiB; only NPT's PAT bit depends on it
 * @param hostPat NPT: the host's PAT, by which the leaf is read
 */
export function nameOfLeaf(paging: NestedPaging, leaf: bigint, large: boolean, hostPat: Pat = LINUX_PAT): string {
  if (paging === 'ept') {
    const entry = decodeEpt(leaf);
    return entry.kind === 'reserved'
      ? 'reserved'
      : nameOfX86Stage2({ paging, type: entry.type, ignorePat: entry.ignorePat });
  }
  const entry = lookUpPat(patBitsOf(leaf, large), hostPat);
  return entry.kind === 'reserved' ? 'reserved' : nameOfX86Stage2({ paging, type: entry.type });
}

/** What a guest's type and stage 2 combine to: every possible type where the MTRR is not known, or `unknown`. */
export function combineX86(guest: PatType, stage2: X86Stage2, { mtrr }: Pick<Platform, 'mtrr'>): readonly string[] {
  switch (stage2.paging) {
    case 'ept':
      return [combineEpt(guest, stage2)];
    case 'npt':
      return [...new Set((mtrr ? [mtrr] : MTRR_TYPES).map((type) => combineNpt(guest, stage2.type, type)))];
    case 'unknown':
      return ['unknown'];
  }
}
