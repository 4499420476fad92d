/** The argument of a measuring cell, as tool/verify/guest/abi.h packs it. */
import { ABI } from './abi.ts';

/** What a bandwidth or latency cell goes over: 64-bit accesses, `stride` bytes from one to the next. */
export interface Measure {
  /** At most `ABI.maxRepetitions`. */
  readonly repetitions: number;
  /** Bytes, a multiple of 8, at most 4096. */
  readonly size: number;
  readonly stride: number;
  /** latency: of a store until it can be read back. */
  readonly storeFirst?: boolean;
}

export const MEASURE = {
  repetitionsMask: 0x7fff_ffff,
  storeFirst: 0x8000_0000,
  sizeShift: 32,
  strideShift: 48,
} as const;

/** The `argument` of a bandwidth or latency cell. @throws RangeError for what the guest would refuse */
export function measureArgument({ repetitions, size, stride, storeFirst = false }: Measure): bigint {
  if (!isWords(size) || !isWords(stride))
    throw new RangeError(`${size} bytes by ${stride}; expected multiples of 8 up to 4096`);
  if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > ABI.maxRepetitions)
    throw new RangeError(`${repetitions} repetitions, at most ${ABI.maxRepetitions}`);
  const low = BigInt(repetitions) | (storeFirst ? BigInt(MEASURE.storeFirst) : 0n);
  return low | (BigInt(size) << BigInt(MEASURE.sizeShift)) | (BigInt(stride) << BigInt(MEASURE.strideShift));
}

function isWords(bytes: number): boolean {
  return bytes >= 8 && bytes <= 4096 && bytes % 8 === 0;
}
