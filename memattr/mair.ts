/**
 * Stage 1: the attribute bytes of MAIR_EL1, all 256 of them (Arm ARM, description of MAIR_EL1 and pseudocode
 * S1DecodeMemAttrs).
 */
import { DEVICE_KINDS, NON_CACHEABLE, WRITE_BACK, canBeTagged, device, normal, reserved } from './memory-type.ts';
import type { Cacheability, MemoryType, NormalType } from './memory-type.ts';
import type { Stage1Type } from './model.ts';

/** What guests use. Linux: MT_DEVICE_nGnRnE, MT_DEVICE_nGnRE, MT_NORMAL_NC, MT_NORMAL; GRE is the most relaxed Device type. */
export const STAGE1_TYPES: readonly Stage1Type[] = [
  { name: 'Device-nGnRnE', encoding: 0x00 },
  { name: 'Device-nGnRE', encoding: 0x04 },
  { name: 'Device-GRE', encoding: 0x0c },
  { name: 'Normal-NC', encoding: 0x44 },
  { name: 'Normal-WB', encoding: 0xff },
];

/** The only type that keeps allocation tags; Linux: MT_NORMAL_TAGGED. */
export const normalTagged: Stage1Type = { name: 'Normal-Tagged', encoding: 0xf0 };

const WRITE_THROUGH_READ_ALLOCATE: Cacheability = {
  policy: 'WT',
  readAllocate: true,
  writeAllocate: false,
  transient: false,
};

/**
 * The type that an attribute byte stands for on a CPU with FEAT_XS and FEAT_MTE2; without them those encodings are
 * UNPREDICTABLE too.
 *
 * @param byte 0 to 255; throws RangeError for anything else
 */
export function decodeMair(byte: number): MemoryType {
  if (!Number.isInteger(byte) || byte < 0 || byte > 0xff)
    throw new RangeError(`${byte} is no MAIR attribute; expected a byte.`);
  const [outer, inner] = [byte >> 4, byte & 0xf];
  if (outer === 0) return decodeDevice(byte);
  if (inner === 0) return decodeSpecial(byte);
  return normal(decodeCacheability(outer), decodeCacheability(inner));
}

/** 0b0000ddxx: dd is the kind; xx = 00, or 01 for XS = 0 (FEAT_XS). */
function decodeDevice(byte: number): MemoryType {
  const kind = DEVICE_KINDS[byte >> 2];
  if (kind === undefined || byte & 0b10)
    return reserved(`MAIR attribute ${hex(byte)} is UNPREDICTABLE: 0b0000dd1x has no meaning`);
  return device(kind, (byte & 1) === 0);
}

/** 0bxxxx0000: three values have a meaning of their own. */
function decodeSpecial(byte: number): MemoryType {
  switch (byte) {
    case 0x40:
      return normal(NON_CACHEABLE, NON_CACHEABLE, { xs: false });
    case 0xa0:
      return normal(WRITE_THROUGH_READ_ALLOCATE, WRITE_THROUGH_READ_ALLOCATE, { xs: false });
    case normalTagged.encoding:
      return normal(WRITE_BACK, WRITE_BACK, { tags: 'allocation' });
    default:
      return reserved(
        `MAIR attribute ${hex(byte)} is UNPREDICTABLE: an inner nibble of 0 only goes with 0x40, 0xa0 and 0xf0`,
      );
  }
}

/** A nibble 0bppRW: policy and transience, read- and write-allocate. A transient type has at least one of R and W; 0b0100 is NC. */
function decodeCacheability(nibble: number): Cacheability {
  if (nibble === 0b0100) return NON_CACHEABLE;
  return {
    policy: nibble & 0b0100 ? 'WB' : 'WT',
    transient: nibble < 0b1000,
    readAllocate: (nibble & 0b10) !== 0,
    writeAllocate: (nibble & 0b01) !== 0,
  };
}

/** The attribute byte that `decodeMair` would turn into this type; null where no byte does. PAR_EL1.ATTR uses the same encoding. */
export function encodeMair(type: MemoryType): number | null {
  switch (type.kind) {
    case 'reserved':
      return null;
    case 'device':
      return (DEVICE_KINDS.indexOf(type.device) << 2) | (type.xs ? 0 : 1);
    case 'normal':
      return encodeNormal(type);
  }
}

function encodeNormal(type: NormalType): number | null {
  if (type.tags === 'allocation') return canBeTagged(type) ? normalTagged.encoding : null;
  if (type.tags === 'no-access') return null;
  const byte = (encodeCacheability(type.outer) << 4) | encodeCacheability(type.inner);
  const writeBack = type.outer.policy === 'WB' && type.inner.policy === 'WB';
  if (type.xs || writeBack) return byte;
  return byte === 0x44 ? 0x40 : byte === 0xaa ? 0xa0 : null;
}

function encodeCacheability({ policy, readAllocate, writeAllocate, transient }: Cacheability): number {
  if (policy === 'NC') return 0b0100;
  const base = { WT: 0b0000, WB: 0b0100 }[policy] | (transient ? 0 : 0b1000);
  return base | (readAllocate ? 0b10 : 0) | (writeAllocate ? 0b01 : 0);
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
