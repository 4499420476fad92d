/** Stage 1: the page attribute table. Intel SDM vol. 3 13.12, AMD APM vol. 2 7.8 (the encodings are the same). */
import type { MtrrType, Stage1Type } from '../model.ts';

/** UC-: uncached, unless an MTRR or the other stage says WC. No MTRR and no EPT entry has it. */
export type PatType = MtrrType | 'UC-';

const ENCODING: Readonly<Record<PatType, number>> = { UC: 0, WC: 1, WT: 4, WP: 5, WB: 6, 'UC-': 7 };

/** From the strictest to the most relaxed, as far as they can be compared. */
export const PAT_TYPES: readonly PatType[] = ['UC', 'UC-', 'WC', 'WP', 'WT', 'WB'];

/** What checks cover: all of them. */
export const STAGE1_TYPES: readonly Stage1Type[] = PAT_TYPES.map((name) => ({ name, encoding: ENCODING[name] }));

/** An entry of the table, or a value that no table can hold: writing it to the MSR raises #GP. */
export type PatEntry =
  { readonly kind: 'type'; readonly type: PatType } | { readonly kind: 'reserved'; readonly why: string };

/** @param byte 0 to 255; throws RangeError for anything else */
export function decodePat(byte: number): PatEntry {
  if (!Number.isInteger(byte) || byte < 0 || byte > 0xff)
    throw new RangeError(`${byte} is no entry of a PAT; expected a byte.`);
  const type = PAT_TYPES.find((candidate) => ENCODING[candidate] === byte);
  return type === undefined
    ? { kind: 'reserved', why: `PAT type ${byte} is reserved: a PAT with it raises #GP` }
    : { kind: 'type', type };
}

export function encodePat(type: PatType): number {
  return ENCODING[type];
}

/** Narrows a PAT type to one that MTRRs and EPT have, too. */
export function isMtrrType(type: PatType): type is MtrrType {
  return type !== 'UC-';
}

/** The eight entries of IA32_PAT. */
export type Pat = readonly PatEntry[];

/** @param msr the value of IA32_PAT, 64 bits; throws RangeError for anything else */
export function decodePatMsr(msr: bigint): Pat {
  if (msr < 0n || msr >= 1n << 64n) throw new RangeError(`${msr} is no value of IA32_PAT; expected 64 bits.`);
  return Array.from({ length: 8 }, (_, index) => decodePat(Number((msr >> BigInt(8 * index)) & 0xffn)));
}

/** Throws RangeError unless there are eight types. */
export function encodePatMsr(types: readonly PatType[]): bigint {
  if (types.length !== 8) throw new RangeError(`${types.length} types make no PAT; expected 8.`);
  return types.reduce((msr, type, index) => msr | (BigInt(ENCODING[type]) << BigInt(8 * index)), 0n);
}

/** What Linux programs where nothing is broken: pat_bp_init() (arch/x86/mm/pat/memtype.c). */
export const LINUX_PAT: Pat = decodePatMsr(encodePatMsr(['WB', 'WC', 'UC-', 'UC', 'WB', 'WP', 'UC-', 'WT']));

/** What the CPU has after a reset (SDM table 13-12, APM table 7-10). */
export const RESET_PAT: Pat = decodePatMsr(encodePatMsr(['WB', 'WT', 'UC-', 'UC', 'WB', 'WT', 'UC-', 'UC']));

/** The three bits of a leaf that choose an entry. */
export interface PatBits {
  readonly pwt: boolean;
  readonly pcd: boolean;
  readonly pat: boolean;
}

export function patIndex({ pwt, pcd, pat }: PatBits): number {
  return (pwt ? 1 : 0) | (pcd ? 2 : 0) | (pat ? 4 : 0);
}

const [PWT, PCD, PAT_4K, PAT_LARGE] = [1n << 3n, 1n << 4n, 1n << 7n, 1n << 12n];

/** @param large the leaf maps more than 4 KiB: its PAT bit is bit 12, as bit 7 says that it is a leaf */
export function patBitsOf(leaf: bigint, large: boolean): PatBits {
  return { pwt: (leaf & PWT) !== 0n, pcd: (leaf & PCD) !== 0n, pat: (leaf & (large ? PAT_LARGE : PAT_4K)) !== 0n };
}

/** The entry of `pat` that the bits choose. */
export function lookUpPat(bits: PatBits, pat: Pat = LINUX_PAT): PatEntry {
  const entry = pat[patIndex(bits)];
  if (entry === undefined) throw new RangeError(`a PAT has 8 entries, not ${pat.length}.`);
  return entry;
}
