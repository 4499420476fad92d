/** Arm's PL011 serial port (DDI 0183). Bytes go at once: its transmitter is never full. */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import { FIRST_OWN, Uart } from './uart.ts';
import type { UartOptions, WantsInterrupt, Words } from './uart.ts';

/** Offsets, bytes; registers are 32 bits apart. */
const REGISTER = {
  data: 0x00,
  flags: 0x18,
  mask: 0x38,
  raw: 0x3c,
  masked: 0x40,
  clear: 0x44,
  identity: 0xfe0,
} as const;
const SIZE = 0x1000;

/** Registers that only keep what is stored: baud rate, line control, control, FIFO levels, DMA; with their reset values. */
const KEPT: ReadonlyMap<number, number> = new Map([
  [0x20, 0],
  [0x24, 0],
  [0x28, 0],
  [0x2c, 0],
  [0x30, 0x300],
  [0x34, 0x12],
  [0x48, 0],
]);
const KEPT_OFFSETS = [...KEPT.keys()];

/** PL011 of Arm's, revision r1p5, and that it is a PrimeCell. */
const IDENTITY = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1] as const;

const FLAG = { receiverEmpty: 0x10, transmitterEmpty: 0x80 } as const;
const INTERRUPT = { received: 0x10, sent: 0x20, waited: 0x40 } as const;
const ALL_INTERRUPTS = 0x7ff;

/** Words of the shared state; then a word for each register that keeps what is stored. */
const MASK = FIRST_OWN;
const SENT = FIRST_OWN + 1;
const FIRST_KEPT = FIRST_OWN + 2;

/** @param base guest-physical, bytes */
export function pl011At(base: number, options: UartOptions): DeviceDescription {
  return { space: 'mmio', base, size: SIZE, module: moduleBeside(import.meta.url, 'uart-pl011'), options };
}

export const wantsPl011: WantsInterrupt = (words, hasInput) => (raw(words, hasInput) & Atomics.load(words, MASK)) !== 0;

/** Received bytes raise two: a level of the FIFO's, and that nothing has come for a while. */
function raw(words: Words, hasInput: boolean): number {
  return (hasInput ? INTERRUPT.received | INTERRUPT.waited : 0) | Atomics.load(words, SENT);
}

export const createDevice: CreateDevice = (context, options): Device => {
  const uart = new Uart(context, options as UartOptions, wantsPl011);
  return {
    read(offset, length, data) {
      const value = uart.access((words) => read(uart, words, offset));
      for (let index = 0; index < length; index += 1)
        data.setUint8(index, index < 4 ? (value >>> (8 * index)) & 0xff : 0);
      return null;
    },
    write(offset, length, data) {
      const value = length >= 4 ? data.getUint32(0, true) : length >= 2 ? data.getUint16(0, true) : data.getUint8(0);
      uart.access((words) => write(words, offset, value));
      if (offset === REGISTER.data) uart.put(value & 0xff);
      return null;
    },
  };
};

function read(uart: Uart, words: Words, offset: number): number {
  switch (offset) {
    case REGISTER.data:
      return uart.takeInput() ?? 0;
    case REGISTER.flags:
      return FLAG.transmitterEmpty | (uart.hasInput ? 0 : FLAG.receiverEmpty);
    case REGISTER.mask:
      return Atomics.load(words, MASK);
    case REGISTER.raw:
      return raw(words, uart.hasInput);
    case REGISTER.masked:
      return raw(words, uart.hasInput) & Atomics.load(words, MASK);
  }
  const kept = KEPT_OFFSETS.indexOf(offset);
  // What differs from the reset value is stored: a state of zeros is one after reset.
  if (kept >= 0) return Atomics.load(words, FIRST_KEPT + kept) ^ (KEPT.get(offset) ?? 0);
  return IDENTITY[(offset - REGISTER.identity) / 4] ?? 0;
}

function write(words: Words, offset: number, value: number): void {
  switch (offset) {
    case REGISTER.data:
      Atomics.store(words, SENT, INTERRUPT.sent);
      return;
    case REGISTER.mask:
      Atomics.store(words, MASK, value & ALL_INTERRUPTS);
      return;
    case REGISTER.clear:
      if ((value & INTERRUPT.sent) !== 0) Atomics.store(words, SENT, 0);
      return;
  }
  const kept = KEPT_OFFSETS.indexOf(offset);
  if (kept >= 0) Atomics.store(words, FIRST_KEPT + kept, value ^ (KEPT.get(offset) ?? 0));
}
