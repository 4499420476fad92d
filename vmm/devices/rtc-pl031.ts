/** Arm's PL031 real-time clock (DDI 0224): the host's time, in seconds of UTC, which cannot be set, and no alarm. */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';

const SIZE = 0x1000;
/** Offsets, bytes. */
const REGISTER = { data: 0x00, control: 0x0c, identity: 0xfe0 } as const;
const IS_STARTED = 1;
/** PL031 of Arm's, and that it is a PrimeCell. */
const IDENTITY = [0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1] as const;

/** @param base guest-physical, bytes */
export function pl031At(base: number): DeviceDescription {
  return { space: 'mmio', base, size: SIZE, module: moduleBeside(import.meta.url, 'rtc-pl031'), options: null };
}

export const createDevice: CreateDevice = (): Device => ({
  read(offset, _length, data) {
    data.setUint32(0, pl031Register(offset, Date.now()), true);
    return null;
  },
  write: () => null,
});

/** @param now milliseconds since 1970 */
export function pl031Register(offset: number, now: number): number {
  if (offset === REGISTER.data) return Math.floor(now / 1000) % 2 ** 32;
  if (offset === REGISTER.control) return IS_STARTED;
  return IDENTITY[(offset - REGISTER.identity) / 4] ?? 0;
}
