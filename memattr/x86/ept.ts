/** Intel's stage 2: bits 6:3 of an EPT leaf. SDM vol. 3, 30.3.7 "EPT and memory typing". */
import type { MtrrType } from '../model.ts';
import { combineIntel } from './mtrr.ts';
import { decodePat, encodePat, isMtrrType } from './pat.ts';
import type { PatType } from './pat.ts';

export interface EptType {
  readonly type: MtrrType;
  /** IPAT: the guest's PAT is ignored. */
  readonly ignorePat: boolean;
}

/** A leaf's bits, or bits with which the walk ends in an EPT misconfiguration (SDM 30.3.3.1). */
export type EptEntry = ({ readonly kind: 'type' } & EptType) | { readonly kind: 'reserved'; readonly why: string };

const TYPE_SHIFT = 3n;
const IGNORE_PAT = 1n << 6n;

/** @param leaf the EPT entry that maps the page; other bits than 6:3 do not matter */
export function decodeEpt(leaf: bigint): EptEntry {
  const value = Number((leaf >> TYPE_SHIFT) & 7n);
  const entry = decodePat(value);
  if (entry.kind === 'reserved' || !isMtrrType(entry.type))
    return { kind: 'reserved', why: `EPT memory type ${value} is reserved: an access ends in an EPT misconfiguration` };
  return { kind: 'type', type: entry.type, ignorePat: (leaf & IGNORE_PAT) !== 0n };
}

/** The leaf's bits 6:3, all others 0. */
export function encodeEpt({ type, ignorePat }: EptType): bigint {
  return (BigInt(encodePat(type)) << TYPE_SHIFT) | (ignorePat ? IGNORE_PAT : 0n);
}

/**
 * SDM 30.3.7.2: with IPAT the EPT type, else table 13-7 with EPT in the MTRR's place. The host's MTRRs have no effect.
 *
 * @param cacheDisable CR0.CD of the CPU, which entering a guest does not change: a guest that sets its own has not set it
 */
export function combineEpt(guest: PatType, { type, ignorePat }: EptType, cacheDisable = false): MtrrType {
  if (cacheDisable) return 'UC';
  return ignorePat ? type : combineIntel(guest, type);
}
