/** Host mappings: a slice of an mmap offset, placed where a stage-2 block can cover it. Lengths and offsets are bytes. */
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import { addressIn, reservationSize } from './index.ts';
import type { Placement } from './index.ts';
import type { Scope } from '../../common/scope.ts';

export interface HostMapping {
  readonly address: bigint;
  readonly length: bigint;
}

export interface Slice {
  readonly fd: number;
  readonly offset: bigint;
  readonly length: bigint;
}

/**
 * Maps `slice` shared, readable and writable, where `placement` wants it: congruent with its guest-physical address, so
 * that stage 2 may use blocks. mmap alone promises no more than a page, so more is reserved than is used.
 *
 * The mapping lives until `scope` closes. Throws SysError; then nothing is left mapped.
 */
export function mapPlaced(port: Port, scope: Scope, slice: Slice, placement: Placement): HostMapping {
  const reserve = reservationSize(placement);
  const reserved = port.mmap({
    length: reserve,
    protection: PROT_NONE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
    fd: -1,
    offset: 0n,
  });
  const address = addressIn(reserved, placement);
  try {
    port.mmap({
      address,
      length: slice.length,
      protection: PROT_READ | PROT_WRITE,
      flags: MAP_SHARED | MAP_FIXED,
      fd: slice.fd,
      offset: slice.offset,
    });
  } catch (error) {
    port.munmap(reserved, reserve);
    throw error;
  }
  scope.defer(() => port.munmap(reserved, reserve));
  return { address, length: slice.length };
}
