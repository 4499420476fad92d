import type { AddressSpace, VcpuExit } from '../kvm/exits.ts';
import type { Device, Place } from './device.ts';

export interface Attached extends Place {
  readonly device: Device;
}

/**
 * What an access does that no device serves: it ends the vCPU's run, or goes on as on a bus where nobody answers: loads
 * give ones and stores are lost.
 */
export type Unserved = 'exit' | 'ones';

/** No load or store of a vCPU that exits is longer. */
const LONGEST = 8;

/**
 * One address space: who answers at which address. Devices never overlap.
 *
 * @throws RangeError for devices that overlap, are empty, or lie beyond what a number can hold
 */
export class Bus {
  readonly #space: AddressSpace;
  readonly #unserved: Unserved;
  readonly #devices: readonly Attached[];
  /** The last that was found: accesses come in bursts. */
  #last: Attached | null = null;

  constructor(space: AddressSpace, devices: readonly Attached[], unserved: Unserved = 'exit') {
    this.#space = space;
    this.#unserved = unserved;
    this.#devices = devices.toSorted((a, b) => a.base - b.base);
    for (const [index, { base, size }] of this.#devices.entries()) {
      const next = this.#devices[index + 1];
      if (!Number.isSafeInteger(base) || !Number.isSafeInteger(base + size) || base < 0 || size < 1) {
        throw new RangeError(`a device at ${base} with ${size} bytes; expected whole numbers below 2^53`);
      }
      if (next !== undefined && next.base < base + size) {
        throw new RangeError(`the devices at 0x${base.toString(16)} and 0x${next.base.toString(16)} overlap`);
      }
    }
  }

  /** Whether a device answers at this address. */
  has(address: number): boolean {
    return this.#find(address) !== null;
  }

  /**
   * One load or store of a guest, whose numbers are not trusted. Null: it was served.
   *
   * @param data as for Device
   */
  access(address: number, length: number, isWrite: boolean, data: DataView): VcpuExit | null {
    const found = this.#find(address);
    if (found === null) return this.#nobody(address, length, isWrite, data);
    const offset = address - found.base;
    if (length < 1 || length > LONGEST || offset + length > found.size) {
      if (this.#unserved === 'ones') return this.#nobody(address, length, isWrite, data);
      return { kind: 'crosses-end', space: this.#space, address: BigInt(address), isWrite, length };
    }
    const { device } = found;
    if (isWrite && device.write !== undefined) return device.write(offset, length, data);
    if (!isWrite && device.read !== undefined) return device.read(offset, length, data);
    return this.#nobody(address, length, isWrite, data);
  }

  #nobody(address: number, length: number, isWrite: boolean, data: DataView): VcpuExit | null {
    if (this.#unserved === 'ones') {
      if (!isWrite) for (let at = 0; at < Math.min(length, LONGEST); at += 1) data.setUint8(at, 0xff);
      return null;
    }
    return { kind: 'unmapped', space: this.#space, address: BigInt(address), isWrite, length };
  }

  #find(address: number): Attached | null {
    const last = this.#last;
    if (last !== null && address >= last.base && address < last.base + last.size) return last;
    let low = 0;
    let high = this.#devices.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const candidate = this.#devices[middle];
      if (candidate === undefined || address < candidate.base) high = middle - 1;
      else if (address >= candidate.base + candidate.size) low = middle + 1;
      else return (this.#last = candidate);
    }
    return null;
  }
}
