/**
 * A BAR in a vCPU's thread: its memslots, which follow it, and the accesses that are exits: to the pages of an MSI-X table,
 * to what is smaller than a page, and to what has no memslot yet while it moves. Those are made on the host's own mapping,
 * or by VFIO's file where there is none.
 */
import { runAll } from '../../../common/scope.ts';
import type { Device } from '../../bus/device.ts';
import { setUserMemoryRegion } from '../../sys/kvm.ts';
import { SysError } from '../../sys/port.ts';
import type { Port } from '../../sys/port.ts';
import { trappedDevice } from '../trapped.ts';
import { NOWHERE } from './options.ts';
import type { BarOptions, FunctionOptions } from './options.ts';
import { PeerMaps } from './peer-maps.ts';

interface Mapped {
  readonly offset: number;
  readonly length: number;
  readonly device: Device;
}

export class BarWindow {
  readonly options: BarOptions;
  readonly #port: Port;
  readonly #vm: number;
  readonly #fd: number;
  readonly #slots: Float64Array<SharedArrayBuffer>;
  readonly #firstSlot: number;
  readonly #mapped: readonly Mapped[];
  readonly #peers: PeerMaps;

  constructor(port: Port, vm: number, fd: number, of: FunctionOptions, options: BarOptions) {
    this.options = options;
    this.#port = port;
    this.#vm = vm;
    this.#fd = fd;
    this.#slots = new Float64Array(of.slots);
    this.#firstSlot = of.bars.slice(0, of.bars.indexOf(options)).reduce((sum, { slots }) => sum + slots.length, 0);
    this.#peers = new PeerMaps(port, of, options);
    const { hva } = options;
    // Accesses are counted by the function, which sees all of them.
    const exits = new SharedArrayBuffer(4);
    this.#mapped = options.mapped.map(({ offset, length }) => {
      const address = hva + BigInt(offset);
      return { offset, length, device: trappedDevice(port, { length: BigInt(length), address, exits }) };
    });
  }

  /**
   * Takes the BAR away from `base`: what the guest touches there is an exit afterwards, and no other device reaches it. What the
   * kernel refuses is tried again by the next call; the rest goes all the same.
   */
  remove(base: number): void {
    if (base === NOWHERE) return;
    runAll([() => this.#peers.remove(base), ...this.options.slots.map((_, index) => () => this.#removeSlot(index))]);
  }

  /** Gives the guest, and other devices, the BAR at `base`. Where KVM refuses a memslot, its accesses stay exits. */
  add(base: number): void {
    for (const [index, { slot, offset, length }] of this.options.slots.entries()) {
      try {
        this.#setSlot(slot, base + offset, length, this.options.hva + BigInt(offset));
        this.#slots[this.#firstSlot + index] = base + offset;
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
      }
    }
    this.#peers.add(base);
  }

  /** Of bytes that lie in the BAR and are aligned to their number, 1, 2, 4 or 8. */
  read(offset: number, length: number, data: DataView): void {
    const mapped = this.#find(offset, length);
    if (mapped !== undefined) {
      mapped.device.read?.(offset - mapped.offset, length, data);
      return;
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, length);
    if (this.#transfer('pread', offset, bytes) !== length) bytes.fill(0xff);
  }

  write(offset: number, length: number, data: DataView): void {
    const mapped = this.#find(offset, length);
    if (mapped !== undefined) mapped.device.write?.(offset - mapped.offset, length, data);
    else this.#transfer('pwrite', offset, new Uint8Array(data.buffer, data.byteOffset, length).slice());
  }

  #removeSlot(index: number): void {
    const [slot, gpa] = [this.options.slots[index]?.slot, this.#slots[this.#firstSlot + index] ?? NOWHERE];
    if (slot === undefined || gpa === NOWHERE) return;
    this.#setSlot(slot, gpa, 0, 0n);
    this.#slots[this.#firstSlot + index] = NOWHERE;
  }

  #find(offset: number, length: number): Mapped | undefined {
    return this.#mapped.find((one) => offset >= one.offset && offset + length <= one.offset + one.length);
  }

  /** How many bytes; what a device does not answer is none of the VMM's failures. */
  #transfer(call: 'pread' | 'pwrite', offset: number, bytes: Uint8Array): number {
    try {
      return this.#port[call](this.#fd, bytes, this.options.fileOffset + BigInt(offset));
    } catch (error) {
      if (error instanceof SysError) return 0;
      throw error;
    }
  }

  #setSlot(slot: number, gpa: number, length: number, hva: bigint): void {
    setUserMemoryRegion(this.#port, this.#vm, { slot, flags: 0, gpa: BigInt(gpa), length: BigInt(length), hva });
  }
}
