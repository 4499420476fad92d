/** Which memory type the MTRRs give a physical address. Intel SDM vol. 3 13.11, AMD APM vol. 2 7.7 (the registers are alike). */
import type { MtrrType } from '../model.ts';
import { decodePat, isMtrrType } from './pat.ts';

/** Numbers of the registers; the variable ranges are pairs of base and mask, one after the other. */
export const MTRR_MSR = { capability: 0xfe, defaultType: 0x2ff, firstVariable: 0x200 } as const;

export interface Mtrrs {
  /** IA32_MTRR_DEF_TYPE. */
  readonly defaultType: bigint;
  /** IA32_MTRR_PHYSBASEn and IA32_MTRR_PHYSMASKn, those that are not in use among them. */
  readonly variable: readonly { readonly base: bigint; readonly mask: bigint }[];
}

interface Range {
  /** Physical bytes [start, end). */
  readonly start: bigint;
  readonly end: bigint;
  readonly type: MtrrType | null;
}

const ENABLED = 1n << 11n;
const VALID = 1n << 11n;
const PAGE = 1n << 12n;
/** Above it no MTRR has a bit: MAXPHYADDR is at most 52. */
const TOP = 1n << 52n;
/** The fixed ranges decide below. */
const FIXED_END = 1n << 20n;

/**
 * The one type of all physical bytes [start, start + length). null where it is not one, or not defined: in the first MiB,
 * where ranges overlap that must not (SDM 13.11.4.1), or with a mask that has holes.
 */
export function mtrrTypeOf({ defaultType, variable }: Mtrrs, start: bigint, length: bigint): MtrrType | null {
  const end = start + length;
  if (start < FIXED_END || length <= 0n) return null;
  if ((defaultType & ENABLED) === 0n) return 'UC';
  const valid = variable.filter(({ mask }) => (mask & VALID) !== 0n).map(rangeOf);
  const ranges = valid.filter((range) => range !== null);
  if (ranges.length < valid.length) return null;
  const cuts = [
    start,
    ...ranges.flatMap((range) => [range.start, range.end]).filter((cut) => cut > start && cut < end),
  ];
  const types = new Set(cuts.map((cut) => typeAt(cut, ranges, typeOf(defaultType))));
  const [only = null] = types;
  return types.size === 1 ? only : null;
}

function rangeOf({ base, mask }: Mtrrs['variable'][number]): Range | null {
  const bits = mask & (TOP - PAGE);
  const size = bits & -bits;
  const start = base & (TOP - PAGE) & bits;
  // Bits above MAXPHYADDR read as 0, so a mask without holes is a run of ones that may end below bit 51.
  const run = bits / (size === 0n ? PAGE : size);
  if (size === 0n || (run & (run + 1n)) !== 0n) return null;
  return { start, end: start + size, type: typeOf(base) };
}

function typeOf(register: bigint): MtrrType | null {
  const entry = decodePat(Number(register & 0xffn));
  return entry.kind === 'type' && isMtrrType(entry.type) ? entry.type : null;
}

/** UC wins over everything, WT over WB, and whatever is alike is that. */
function typeAt(address: bigint, ranges: readonly Range[], otherwise: MtrrType | null): MtrrType | null {
  const types = new Set(
    ranges.filter((range) => range.start <= address && range.end > address).map(({ type }) => type),
  );
  if (types.size === 0) return otherwise;
  if (types.has('UC')) return 'UC';
  const [only = null] = types;
  if (types.size === 1) return only;
  return types.size === 2 && types.has('WT') && types.has('WB') ? 'WT' : null;
}
