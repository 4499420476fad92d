/** Host mappings: a slice of an mmap offset, placed where a stage-2 block can cover it. Lengths and offsets are bytes. */
import {
  MADV_DONTFORK,
  MADV_HUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../sys/libc.ts';
import { attempt } from '../sys/attempt.ts';
import { detach } from '../sys/detach.ts';
import type { Port } from '../sys/port.ts';
import { addressIn, reservationSize } from './index.ts';
import type { Placement } from './index.ts';
import type { Scope } from '../../common/scope.ts';

/** Memory of this process that a guest can be given. */
export interface HostMapping {
  readonly address: bigint;
  readonly length: bigint;
}

/** Node 20 aborts on a longer one. */
const LONGEST_VIEW = 1n << 32n;
const FEW = 64;

/**
 * A mapping and the views of it, which end with it: after `close` a view has no bytes, instead of those of whatever is mapped
 * there next. Views that another thread has made of the same address are that thread's to give up first.
 */
export class Mapping implements HostMapping {
  readonly address: bigint;
  readonly length: bigint;
  readonly #port: Port;
  readonly #unmap: () => void;
  /** Null once closed. Views that nobody has any more are dropped now and then. */
  #views: WeakRef<ArrayBuffer>[] | null = [];
  #dropAt = FEW;

  /** `unmap` is called once. */
  constructor(port: Port, { address, length }: HostMapping, unmap: () => void) {
    this.#port = port;
    this.address = address;
    this.length = length;
    this.#unmap = unmap;
  }

  /**
   * The memory itself, not a copy: a device or a guest may change it at any time. Bytes, by default all to the end, of at
   * most 4 GiB.
   *
   * Throws RangeError for bytes that are not all inside, TypeError after `close`.
   */
  view(offset = 0n, length = this.length - offset): ArrayBuffer {
    const view = this.#bytes(offset, length);
    this.#remember(view);
    return view;
  }

  #remember(view: ArrayBuffer): void {
    if (this.#views === null) return;
    if (this.#views.length >= this.#dropAt) {
      this.#views = this.#views.filter((reference) => reference.deref() !== undefined);
      this.#dropAt = Math.max(FEW, 2 * this.#views.length);
    }
    this.#views.push(new WeakRef(view));
  }

  /** A copy. Throws as `view` does. */
  read(offset: bigint, length: bigint): Uint8Array {
    return new Uint8Array(this.#bytes(offset, length)).slice();
  }

  /** Throws as `view` does. */
  write(offset: bigint, bytes: Uint8Array): void {
    new Uint8Array(this.#bytes(offset, BigInt(bytes.byteLength))).set(bytes);
  }

  /** The memory itself, which whoever asks must let go of before it returns: nothing ends this view. */
  #bytes(offset: bigint, length: bigint): ArrayBuffer {
    if (this.#views === null) throw new TypeError('the mapping is closed');
    if (offset < 0n || length < 0n || offset + length > this.length || length > LONGEST_VIEW)
      throw new RangeError(`bytes ${offset} to ${offset + length} are no view of a mapping of ${this.length} bytes`);
    return this.#port.view(this.address + offset, Number(length));
  }

  /** Ends every view and unmaps. Does nothing the second time. */
  close(): void {
    const views = this.#views;
    if (views === null) return;
    this.#views = null;
    for (const reference of views) {
      const view = reference.deref();
      if (view !== undefined) detach(view);
    }
    this.#unmap();
  }

  [Symbol.dispose](): void {
    this.close();
  }
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
 * The mapping lives until `scope` closes, or it is closed itself. Throws SysError; then nothing is left mapped.
 */
export function mapPlaced(port: Port, scope: Scope, slice: Slice, placement: Placement): Mapping {
  return placed(port, scope, placement, (address) => {
    mapInto(port, address, slice);
    return port.catchBusErrors?.(address, slice.length);
  });
}

/**
 * Zeroed memory of this process's own, placed as mapPlaced does, in huge pages where the host has them: with small ones each
 * page is a fault of the guest's, and an entry of the IOMMU's. A process that is forked gets none of it: a device's DMA would
 * go on in one of two copies.
 */
export function mapPrivate(port: Port, scope: Scope, placement: Placement): Mapping {
  const { length } = placement;
  return placed(port, scope, placement, (address) => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    port.mmap({ address, length, protection: PROT_READ | PROT_WRITE, flags, fd: -1, offset: 0n });
    port.madvise(address, length, MADV_DONTFORK);
    // A kernel without huge pages refuses (EINVAL).
    attempt(() => port.madvise(address, length, MADV_HUGEPAGE));
    return undefined;
  });
}

/** In address space that is reserved around it; see mapPlaced. @param map returns what is to be done before it is unmapped */
function placed(
  port: Port,
  scope: Scope,
  placement: Placement,
  map: (address: bigint) => (() => void) | undefined,
): Mapping {
  const { length } = placement;
  const reserve = reservationSize(placement);
  const reserved = port.mmap({
    length: reserve,
    protection: PROT_NONE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
    fd: -1,
    offset: 0n,
  });
  const address = addressIn(reserved, placement);
  let forget: (() => void) | undefined;
  try {
    forget = map(address);
  } catch (error) {
    port.munmap(reserved, reserve);
    throw error;
  }
  const mapping = new Mapping(port, { address, length }, () => {
    forget?.();
    port.munmap(reserved, reserve);
  });
  scope.defer(() => mapping.close());
  return mapping;
}

/**
 * Address space for [0, length) of a BAR, aligned to `alignment`, a power of two: all parts of the BAR that are mapped into it
 * can then be blocks of stage 2. Nothing is mapped there yet. It is given back when `scope` closes.
 */
export function reserveAligned(port: Port, scope: Scope, length: bigint, alignment: bigint): bigint {
  const placement = { gpa: 0n, length, alignment, phase: 0n };
  const size = reservationSize(placement);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const reserved = port.mmap({ length: size, protection: PROT_NONE, flags, fd: -1, offset: 0n });
  scope.defer(() => port.munmap(reserved, size));
  const address = addressIn(reserved, placement);
  const forget = port.catchBusErrors?.(address, length);
  if (forget !== undefined) scope.defer(forget);
  return address;
}

/** Maps `slice` shared, readable and writable, into address space that reserveAligned has given. Throws SysError. */
export function mapInto(port: Port, address: bigint, { fd, offset, length }: Slice): void {
  const protection = PROT_READ | PROT_WRITE;
  port.mmap({ address, length, protection, flags: MAP_SHARED | MAP_FIXED, fd, offset });
}
