/** Guest RAM: host memory behind one or more guest-physical ranges. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { mapPrivate } from './mapping.ts';
import type { Mapping } from './mapping.ts';
import { blockAlignment } from './place.ts';
import type { Memslots } from './slots.ts';

/** Guest-physical bytes [gpa, gpa + length). */
export interface RamRange {
  readonly gpa: bigint;
  readonly length: bigint;
}

export interface RamRegion extends RamRange {
  readonly mapping: Mapping;
}

export interface GuestRam {
  readonly regions: readonly RamRegion[];
  /**
   * The guest's memory itself, of at most 4 GiB: the guest may write it at any time. It has no bytes after the scope is closed.
   *
   * Throws RangeError for bytes that are not all in one region.
   */
  view(gpa: bigint, length: number): Uint8Array;
  /** Host-virtual, of a byte. Throws RangeError where no RAM is. */
  address(gpa: bigint): bigint;
  /** A copy. Throws RangeError as `view` does. */
  read(gpa: bigint, length: number): Uint8Array;
  /** Throws RangeError as `view` does. */
  write(gpa: bigint, bytes: Uint8Array): void;
}

/** Zeroed, one mapping a range, taken from the host page by page as it is touched. Throws E_GUEST_RAM where there is none. */
export function allocateRam(port: Port, scope: Scope, ranges: readonly RamRange[]): GuestRam {
  const regions = ranges.map((range): RamRegion => ({ ...range, mapping: mapAnonymous(port, scope, range) }));
  const regionOf = (start: bigint, length: number): RamRegion => {
    const region = regions.find(({ gpa, ...one }) => start >= gpa && start + BigInt(length) <= gpa + one.length);
    if (region === undefined) throw new RangeError(`no RAM at gpa 0x${start.toString(16)}, +${length} bytes`);
    return region;
  };
  return {
    regions,
    view(start, length) {
      const { gpa, mapping } = regionOf(start, length);
      return new Uint8Array(mapping.view(start - gpa, BigInt(length)));
    },
    address(start) {
      const { gpa, mapping } = regionOf(start, 1);
      return mapping.address + start - gpa;
    },
    // Without a view: there is none to end when the memory goes.
    read(start, length) {
      const { gpa, mapping } = regionOf(start, length);
      return mapping.read(start - gpa, BigInt(length));
    },
    write(start, bytes) {
      const { gpa, mapping } = regionOf(start, bytes.byteLength);
      mapping.write(start - gpa, bytes);
    },
  };
}

/** Gives all of it to a VM. */
export function addRam(slots: Memslots, { regions }: GuestRam): void {
  for (const { gpa, mapping } of regions) slots.add(gpa, mapping);
}

function mapAnonymous(port: Port, scope: Scope, { gpa, length }: RamRange): Mapping {
  const alignment = blockAlignment(length);
  try {
    return mapPrivate(port, scope, { gpa, length, alignment, phase: gpa % alignment });
  } catch (error) {
    if (!isErrno(error, 'ENOMEM')) throw error;
    throw new WcvmmError('E_GUEST_RAM', `the host has no ${length} bytes for guest RAM (ENOMEM). Ask for less.`, {
      cause: error,
    });
  }
}
