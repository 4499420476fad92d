/** A PC's real-time clock (MC146818): the host's time in UTC, which cannot be set, and no alarm. */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';

/** Ports: the register's number is stored to the first, its value is at the second. */
const BASE = 0x70;
const VALUE = 1;
/** The highest bit of the number switches an interrupt off that nobody raises. */
const NUMBER = 0x7f;

const STATUS = { a: 0x0a, b: 0x0b, d: 0x0d } as const;
/** A: its divider runs; no update is in progress. */
const RUNS = 0x26;
/** B: numbers are binary, hours go to 23. */
const BINARY_24_HOURS = 0x06;
/** D: the battery is not empty. */
const IS_VALID = 0x80;

export function rtcPorts(): DeviceDescription {
  return {
    space: 'pio',
    base: BASE,
    size: 2,
    module: moduleBeside(import.meta.url, 'rtc-x86'),
    options: new SharedArrayBuffer(4),
  };
}

export const createDevice: CreateDevice = (_context, options): Device => {
  const selected = new Int32Array(options as SharedArrayBuffer);
  return {
    read(offset, _length, data) {
      data.setUint8(0, offset === VALUE ? rtcRegister(Atomics.load(selected, 0), new Date()) : 0xff);
      return null;
    },
    write(offset, _length, data) {
      if (offset !== VALUE) Atomics.store(selected, 0, data.getUint8(0) & NUMBER);
      return null;
    },
  };
};

export function rtcRegister(number: number, now: Date): number {
  switch (number) {
    case 0x00:
      return now.getUTCSeconds();
    case 0x02:
      return now.getUTCMinutes();
    case 0x04:
      return now.getUTCHours();
    case 0x06:
      return now.getUTCDay() + 1;
    case 0x07:
      return now.getUTCDate();
    case 0x08:
      return now.getUTCMonth() + 1;
    case 0x09:
      return now.getUTCFullYear() % 100;
    case STATUS.a:
      return RUNS;
    case STATUS.b:
      return BINARY_24_HOURS;
    case STATUS.d:
      return IS_VALID;
    default:
      return 0;
  }
}
