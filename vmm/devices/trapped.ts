/**
 * A window without a memslot: the guest's accesses are exits, and are made here on the host's own mapping.
 *
 * An access that is aligned to its size is one access of the host. Any other, and x86 hands over such ones (an access that
 * crosses a page comes as two, of 3 and 5 bytes, say), is made of the fewest that are aligned, in ascending order.
 */
import type { CreateDevice, Device, DeviceDescription, DeviceModule } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import type { VcpuExit } from '../kvm/exits.ts';
import type { Port } from '../sys/port.ts';

export interface TrappedWindow {
  /** Guest-physical bytes. */
  readonly gpa: bigint;
  readonly length: bigint;
  /** Host-virtual address of the mapping. */
  readonly address: bigint;
  /** One 32-bit word, which counts the accesses of all vCPUs. */
  readonly exits: SharedArrayBuffer;
}

export function trappedAt({ gpa, length, address, exits }: TrappedWindow): DeviceDescription {
  const { url } = trappedModule;
  return { space: 'mmio', base: Number(gpa), size: Number(length), module: url, options: { length, address, exits } };
}

export const createDevice: CreateDevice = ({ port }, options): Device => {
  const { length, address, exits } = options as Omit<TrappedWindow, 'gpa'>;
  return trappedDevice(port, { length, address, exits });
};

export const trappedModule: DeviceModule = { url: moduleBeside(import.meta.url, 'trapped'), createDevice };

/** Below the 4 GiB that a view can have, and a multiple of every page. */
const CHUNK = 2 ** 30;

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

export function trappedDevice(port: Port, { length: size, address, exits }: Omit<TrappedWindow, 'gpa'>): Device {
  const count = new Int32Array(exits);
  /** By number of the chunk. */
  const chunks: Chunk[] = [];

  const chunkOf = (index: number): Chunk => {
    const known = chunks[index];
    if (known !== undefined) return known;
    const start = index * CHUNK;
    const bytes = port.view(address + BigInt(start), Math.min(Number(size) - start, CHUNK));
    const chunk = {
      1: new Uint8Array(bytes),
      2: new Uint16Array(bytes),
      4: new Uint32Array(bytes),
      8: new BigUint64Array(bytes),
    };
    chunks[index] = chunk;
    return chunk;
  };

  const access = (offset: number, length: number, data: DataView, part: typeof load): VcpuExit | null => {
    Atomics.add(count, 0, 1);
    const failed = port.busErrors?.() ?? 0;
    for (let done = 0; done < length;) {
      const bytes = partSize(offset + done, length - done);
      const inChunk = (offset + done) % CHUNK;
      part(chunkOf((offset + done - inChunk) / CHUNK), bytes, inChunk / bytes, data, done);
      done += bytes;
    }
    if ((port.busErrors?.() ?? 0) !== failed) return { kind: 'device-lost', offset, isWrite: part === store };
    return null;
  };
  return {
    read: (offset, length, data) => access(offset, length, data, load),
    write: (offset, length, data) => access(offset, length, data, store),
  };
}

/** The largest access that is aligned at `offset` and does not go beyond `rest` bytes. A window is page-aligned. */
function partSize(offset: number, rest: number): keyof Chunk {
  for (const size of [8, 4, 2] as const) if (size <= rest && offset % size === 0) return size;
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
