/** A 16550A serial port at x86's port I/O (PC16550D). Bytes go at once, whatever the divisor says. */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import { FIRST_OWN, Uart } from './uart.ts';
import type { UartOptions, WantsInterrupt, Words } from './uart.ts';

/** Ports from the base; the first two are the divisor's halves while LCR says so. */
const REGISTER = { data: 0, ier: 1, iirFcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scratch: 7 } as const;
const SIZE = 8;

/** Words of the shared state. */
const IER = FIRST_OWN;
const LCR = FIRST_OWN + 1;
const MCR = FIRST_OWN + 2;
const SCRATCH = FIRST_OWN + 3;
const DIVISOR = FIRST_OWN + 4;
const FIFO = FIRST_OWN + 5;
/** Whether the transmitter's having become empty is not yet told. */
const EMPTIED = FIRST_OWN + 6;

const IER_RECEIVED = 1;
const IER_EMPTIED = 2;
const IER_ALL = 0xf;
const IIR = { nothing: 1, emptied: 2, received: 4, fifo: 0xc0 } as const;
const FCR_ENABLE = 1;
const LCR_DIVISOR = 0x80;
const MCR_LOOP = 0x10;
const LSR_RECEIVED = 1;
const LSR_EMPTY = 0x60;
/** Clear to send, data set ready, carrier. */
const MSR_CONNECTED = 0xb0;

/** @param base the first port */
export function uart16550At(base: number, options: UartOptions): DeviceDescription {
  return { space: 'pio', base, size: SIZE, module: moduleBeside(import.meta.url, 'uart-16550'), options };
}

export const wants16550: WantsInterrupt = (words, hasInput) => interruptOf(words, hasInput) !== IIR.nothing;

function interruptOf(words: Words, hasInput: boolean): number {
  const enabled = Atomics.load(words, IER);
  if (hasInput && (enabled & IER_RECEIVED) !== 0) return IIR.received;
  return Atomics.load(words, EMPTIED) !== 0 && (enabled & IER_EMPTIED) !== 0 ? IIR.emptied : IIR.nothing;
}

export const createDevice: CreateDevice = (context, options): Device => {
  const uart = new Uart(context, options as UartOptions, wants16550);
  return {
    read(offset, length, data) {
      const value = uart.access((words) => read(uart, words, offset));
      for (let index = 0; index < length; index += 1) data.setUint8(index, index === 0 ? value : 0xff);
      return null;
    },
    write(offset, _length, data) {
      const value = data.getUint8(0);
      const isOutput = uart.access((words) => write(words, offset, value));
      if (isOutput) uart.put(value);
      return null;
    },
  };
};

function read(uart: Uart, words: Words, register: number): number {
  const ofDivisor = (Atomics.load(words, LCR) & LCR_DIVISOR) !== 0;
  switch (register) {
    case REGISTER.data:
      return ofDivisor ? Atomics.load(words, DIVISOR) & 0xff : (uart.takeInput() ?? 0);
    case REGISTER.ier:
      return ofDivisor ? Atomics.load(words, DIVISOR) >> 8 : Atomics.load(words, IER);
    case REGISTER.iirFcr: {
      const interrupt = interruptOf(words, uart.hasInput);
      if (interrupt === IIR.emptied) Atomics.store(words, EMPTIED, 0);
      return interrupt | (Atomics.load(words, FIFO) === 0 ? 0 : IIR.fifo);
    }
    case REGISTER.lcr:
      return Atomics.load(words, LCR);
    case REGISTER.mcr:
      return Atomics.load(words, MCR);
    case REGISTER.lsr:
      return LSR_EMPTY | (uart.hasInput ? LSR_RECEIVED : 0);
    case REGISTER.msr:
      return modemStatus(Atomics.load(words, MCR));
    default:
      return Atomics.load(words, SCRATCH);
  }
}

/** Whether the byte is to be sent. */
function write(words: Words, register: number, value: number): boolean {
  const ofDivisor = (Atomics.load(words, LCR) & LCR_DIVISOR) !== 0;
  const divisor = Atomics.load(words, DIVISOR);
  switch (register) {
    case REGISTER.data:
      if (ofDivisor) {
        Atomics.store(words, DIVISOR, (divisor & 0xff00) | value);
        return false;
      }
      Atomics.store(words, EMPTIED, 1);
      return (Atomics.load(words, MCR) & MCR_LOOP) === 0;
    case REGISTER.ier:
      if (ofDivisor) {
        Atomics.store(words, DIVISOR, (divisor & 0xff) | (value << 8));
        return false;
      }
      // It is empty: enabling that interrupt raises it.
      if ((value & IER_EMPTIED) !== 0 && (Atomics.load(words, IER) & IER_EMPTIED) === 0)
        Atomics.store(words, EMPTIED, 1);
      Atomics.store(words, IER, value & IER_ALL);
      return false;
    case REGISTER.iirFcr:
      Atomics.store(words, FIFO, value & FCR_ENABLE);
      return false;
    case REGISTER.lcr:
      Atomics.store(words, LCR, value);
      return false;
    case REGISTER.mcr:
      Atomics.store(words, MCR, value & 0x1f);
      return false;
    case REGISTER.scratch:
      Atomics.store(words, SCRATCH, value);
  }
  return false;
}

/** In a loop the modem's lines are the port's own outputs, by which drivers recognise it. */
function modemStatus(mcr: number): number {
  if ((mcr & MCR_LOOP) === 0) return MSR_CONNECTED;
  const [dtr, rts, out1, out2] = [mcr & 1, (mcr >> 1) & 1, (mcr >> 2) & 1, (mcr >> 3) & 1];
  return (rts << 4) | (dtr << 5) | (out1 << 6) | (out2 << 7);
}
