/** Resource descriptors, of which a _CRS is made (ACPI 6.5, 6.4). Addresses and lengths are bytes, or ports, or bus numbers. */
import { buffer, joined, littleEndian } from './aml.ts';
import type { Aml } from './aml.ts';

/** A number of the namespace, in that of the descriptor: [from, from + length). */
export interface AddressRange {
  readonly from: bigint;
  readonly length: bigint;
}

const TAG = {
  io: 0x47,
  end: 0x79,
  fixedMemory32: 0x86,
  doubleWord: 0x87,
  word: 0x88,
  interrupt: 0x89,
  quadWord: 0x8a,
} as const;
const KIND = { memory: 0, bus: 2 } as const;
/** Neither end may move, and the range is what the bridge passes on. */
const PRODUCED_FIXED = 0b1100;
const READ_WRITE = 1;
const PREFETCHABLE = 0b110;
const DECODES_16_BITS = 1;

export function resourceTemplate(...descriptors: readonly Uint8Array[]): Aml {
  // A checksum of 0 is one that nobody looks at.
  return buffer(joined(...descriptors, Uint8Array.of(TAG.end, 0)));
}

/** Ports that always answer. */
export function ioPorts(base: number, count: number): Uint8Array {
  const at = littleEndian(BigInt(base), 2);
  return joined(Uint8Array.of(TAG.io, DECODES_16_BITS), at, at, Uint8Array.of(1, count));
}

/** Memory below 4 GiB that a device answers at itself. */
export function fixedMemory({ from, length }: AddressRange): Uint8Array {
  return joined(
    Uint8Array.of(TAG.fixedMemory32),
    littleEndian(9n, 2),
    Uint8Array.of(READ_WRITE),
    littleEndian(from, 4),
    littleEndian(length, 4),
  );
}

/** An interrupt of the device's own: raised by an edge to high. */
export function edgeInterrupt(gsi: number): Uint8Array {
  const consumerEdgeHighExclusive = 0b0011;
  return joined(
    Uint8Array.of(TAG.interrupt),
    littleEndian(6n, 2),
    Uint8Array.of(consumerEdgeHighExclusive, 1),
    littleEndian(BigInt(gsi), 4),
  );
}

/** Bus numbers behind a host bridge. */
export function busNumbers(range: AddressRange): Uint8Array {
  return window(TAG.word, KIND.bus, 0, 2, range);
}

/** Memory below 4 GiB that a host bridge passes on. */
export function memory32(range: AddressRange): Uint8Array {
  return window(TAG.doubleWord, KIND.memory, READ_WRITE, 4, range);
}

/** Memory anywhere that a host bridge passes on, for prefetchable BARs. */
export function prefetchable64(range: AddressRange): Uint8Array {
  return window(TAG.quadWord, KIND.memory, READ_WRITE | PREFETCHABLE, 8, range);
}

function window(tag: number, kind: number, flags: number, width: number, { from, length }: AddressRange): Uint8Array {
  const granularity = 0n;
  const translation = 0n;
  const fields = [granularity, from, from + length - 1n, translation, length].map((field) =>
    littleEndian(field, width),
  );
  return joined(
    Uint8Array.of(tag),
    littleEndian(BigInt(3 + 5 * width), 2),
    Uint8Array.of(kind, PRODUCED_FIXED, flags),
    ...fields,
  );
}
