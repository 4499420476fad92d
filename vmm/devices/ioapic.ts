/**
 * An x86 IOAPIC with 24 pins (Intel 82093AA), for edges only: a pin that goes up is an MSI to a local APIC, which KVM has. KVM's
 * own IOAPIC is an option of the kernel's, and Linux asks for none but the serial port's interrupt of it: devices send MSIs.
 */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import { signalMsi } from '../sys/kvm-irq.ts';
import type { Port } from '../sys/port.ts';

const PINS = 24;

/** Words of the state: the index register, the levels of all pins, then two words for each pin's redirection entry. */
const SELECT = 0;
const LEVELS = 1;
const ENTRIES = 2;
const WORDS = ENTRIES + 2 * PINS;

/** Offsets, bytes; and the numbers of registers behind the index. */
const REGISTER = { select: 0x00, window: 0x10 } as const;
const INDEX = { id: 0x00, version: 0x01, entries: 0x10 } as const;
const SIZE = 0x1000;
const VERSION = 0x11 | ((PINS - 1) << 16);

/** A redirection entry's low word. */
const MASKED = 1 << 16;
const VECTOR_AND_DELIVERY = 0x7ff;
const IS_LOGICAL = 1 << 11;
/** What a guest may set; the rest is status. */
const WRITABLE = 0x1_afff;

const MSI_ADDRESS = 0xfee0_0000;
const MSI_LOGICAL = 1 << 2;
const MSI_DESTINATION = 12;

/** All pins low and masked. */
export function newIoapic(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(WORDS * 4);
  const words = new Int32Array(buffer);
  for (let pin = 0; pin < PINS; pin += 1) words[ENTRIES + 2 * pin] = MASKED;
  return buffer;
}

interface IoapicOptions {
  readonly state: SharedArrayBuffer;
  readonly vm: number;
}

/** @param base guest-physical, bytes */
export function ioapicAt(base: number, state: SharedArrayBuffer, vm: number): DeviceDescription {
  const options: IoapicOptions = { state, vm };
  return { space: 'mmio', base, size: SIZE, module: moduleBeside(import.meta.url, 'ioapic'), options };
}

/** Any thread may call it. */
export function setPin(port: Port, vm: number, state: SharedArrayBuffer, pin: number, isHigh: boolean): void {
  const words = new Int32Array(state);
  const bit = 1 << pin;
  const before = isHigh ? Atomics.or(words, LEVELS, bit) : Atomics.and(words, LEVELS, ~bit);
  if (isHigh && (before & bit) === 0) deliver(port, vm, words, pin);
}

function deliver(port: Port, vm: number, words: Int32Array, pin: number): void {
  const [low, high] = [Atomics.load(words, ENTRIES + 2 * pin), Atomics.load(words, ENTRIES + 2 * pin + 1)];
  if ((low & MASKED) !== 0) return;
  const destination = ((high >>> 24) << MSI_DESTINATION) | ((low & IS_LOGICAL) !== 0 ? MSI_LOGICAL : 0);
  const address = BigInt(MSI_ADDRESS) | BigInt(destination);
  signalMsi(port, vm, { address, data: low & VECTOR_AND_DELIVERY, deviceId: null });
}

export const createDevice: CreateDevice = ({ port }, options): Device => {
  const { state, vm } = options as IoapicOptions;
  const words = new Int32Array(state);

  const read = (index: number): number => {
    if (index === INDEX.version) return VERSION;
    const word = index - INDEX.entries;
    return word >= 0 && word < 2 * PINS ? Atomics.load(words, ENTRIES + word) : 0;
  };
  const write = (index: number, value: number): void => {
    const word = index - INDEX.entries;
    if (word < 0 || word >= 2 * PINS) return;
    const isLow = word % 2 === 0;
    const before = Atomics.exchange(words, ENTRIES + word, isLow ? value & WRITABLE : value);
    const pin = word >> 1;
    const isUnmasked = isLow && (before & MASKED) !== 0 && (value & MASKED) === 0;
    // An edge that came while it was masked would be lost for ever.
    if (isUnmasked && (Atomics.load(words, LEVELS) & (1 << pin)) !== 0) deliver(port, vm, words, pin);
  };
  return {
    read(offset, _length, data) {
      const select = Atomics.load(words, SELECT);
      const value = offset === REGISTER.window ? read(select) : offset === REGISTER.select ? select : 0;
      data.setUint32(0, value, true);
      return null;
    },
    write(offset, _length, data) {
      const value = data.getInt32(0, true);
      if (offset === REGISTER.select) Atomics.store(words, SELECT, value & 0xff);
      else if (offset === REGISTER.window) write(Atomics.load(words, SELECT), value);
      return null;
    },
  };
};
