/**
 * The guest's accesses to windows that have no memslot, made here on the host's own mapping. What comes from the guest (the
 * address, the length, the direction) is checked against the window before anything is touched.
 *
 * An access that is aligned to its size is one access of the host. Any other, and x86 hands over such ones (an access that
 * crosses a page comes as two, of 3 and 5 bytes, say), is made of the fewest that are aligned, in ascending order.
 */
import type { Port } from '../sys/port.ts';
import type { TrappedWindow } from '../kvm/vcpu-protocol.ts';

/** KVM_EXIT_MMIO: what the guest wants, of up to 8 bytes. `data` holds what it stores, or takes what it loads. */
export interface Access {
  readonly address: bigint;
  readonly length: number;
  readonly isWrite: boolean;
  readonly data: DataView;
}

/** `leaves`: it starts in a window and ends outside of it, or is none that KVM makes. Nothing was touched then. */
export type Served = 'served' | 'elsewhere' | 'leaves';

/** Below the 4 GiB that a view can have, and a multiple of every page. */
const CHUNK = 1n << 30n;
const LONGEST = 8;

/**
 * A device must see one access where the guest made one. Elements of typed arrays are read and written whole; a DataView
 * goes byte by byte until it is optimised. Loads are Atomics.load, which says so; stores are plain assignments, since
 * Atomics.store would be an exchange on x86: a load as well, and a bus lock.
 */
interface Chunk {
  readonly 1: Uint8Array;
  readonly 2: Uint16Array;
  readonly 4: Uint32Array;
  readonly 8: BigUint64Array;
}

export class TrappedWindows {
  /** Accesses that were served, by window. */
  readonly exits: number[];
  readonly #port: Port;
  readonly #windows: readonly TrappedWindow[];
  /** By host-virtual address. */
  readonly #chunks = new Map<bigint, Chunk>();

  constructor(port: Port, windows: readonly TrappedWindow[]) {
    this.#port = port;
    this.#windows = windows;
    this.exits = windows.map(() => 0);
  }

  has(address: bigint): boolean {
    return this.#indexOf(address) >= 0;
  }

  serve(access: Access): Served {
    const index = this.#indexOf(access.address);
    const window = this.#windows[index];
    if (window === undefined) return 'elsewhere';
    const offset = access.address - window.gpa;
    if (access.length < 1 || access.length > LONGEST || offset + BigInt(access.length) > window.length) return 'leaves';
    this.exits[index] = (this.exits[index] ?? 0) + 1;
    for (let done = 0; done < access.length;) done += this.#part(window, offset + BigInt(done), access, done);
    return 'served';
  }

  #indexOf(address: bigint): number {
    return this.#windows.findIndex(({ gpa, length }) => address >= gpa && address < gpa + length);
  }

  /** One access of the host; its bytes. */
  #part(window: TrappedWindow, offset: bigint, { length, isWrite, data }: Access, done: number): number {
    const size = partSize(offset, length - done);
    const inChunk = offset % CHUNK;
    const element = Number(inChunk) / size;
    const chunk = this.#chunk(window, offset - inChunk);
    if (isWrite) store(chunk, size, element, data, done);
    else load(chunk, size, element, data, done);
    return size;
  }

  #chunk({ address, length }: TrappedWindow, start: bigint): Chunk {
    const at = address + start;
    const known = this.#chunks.get(at);
    if (known !== undefined) return known;
    const rest = length - start;
    const bytes = this.#port.view(at, Number(rest < CHUNK ? rest : CHUNK));
    const chunk = {
      1: new Uint8Array(bytes),
      2: new Uint16Array(bytes),
      4: new Uint32Array(bytes),
      8: new BigUint64Array(bytes),
    };
    this.#chunks.set(at, chunk);
    return chunk;
  }
}

/** The largest access that is aligned at `offset` and does not go beyond `rest` bytes. A window is page-aligned. */
function partSize(offset: bigint, rest: number): keyof Chunk {
  for (const size of [8, 4, 2] as const) if (size <= rest && offset % BigInt(size) === 0n) return size;
  return 1;
}

/** Guests and hosts are little-endian. `data` is ordinary memory. */
function load(chunk: Chunk, size: keyof Chunk, element: number, data: DataView, at: number): void {
  switch (size) {
    case 1:
      return data.setUint8(at, Atomics.load(chunk[1], element));
    case 2:
      return data.setUint16(at, Atomics.load(chunk[2], element), true);
    case 4:
      return data.setUint32(at, Atomics.load(chunk[4], element), true);
    case 8:
      return data.setBigUint64(at, Atomics.load(chunk[8], element), true);
  }
}

function store(chunk: Chunk, size: keyof Chunk, element: number, data: DataView, at: number): void {
  switch (size) {
    case 1:
      chunk[1][element] = data.getUint8(at);
      break;
    case 2:
      chunk[2][element] = data.getUint16(at, true);
      break;
    case 4:
      chunk[4][element] = data.getUint32(at, true);
      break;
    case 8:
      chunk[8][element] = data.getBigUint64(at, true);
  }
}
