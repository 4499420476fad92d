/** A bare guest's firmware: two registers. 32-bit stores; nothing can be loaded. */
import type { CreateDevice, Device, DeviceDescription, DeviceModule } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import { ringWriter } from './console-ring.ts';

/** Offsets, bytes. */
export const DOORBELL = {
  /** The low byte goes to the console. */
  putchar: 0x000,
  /** The guest is done; the value is its status. */
  exit: 0x008,
} as const;

const SIZE = 0x010;

/** @param base guest-physical, bytes @param console a ring of console-ring.ts */
export function doorbellAt(base: number, console: SharedArrayBuffer): DeviceDescription {
  return { space: 'mmio', base, size: SIZE, module: doorbellModule.url, options: console };
}

export const createDevice: CreateDevice = ({ isStopping }, options): Device => {
  const put = ringWriter(options as SharedArrayBuffer, isStopping);
  return {
    write(offset, _length, data) {
      const value = data.getUint32(0, true);
      if (offset === DOORBELL.exit) return { kind: 'done', status: value };
      if (offset === DOORBELL.putchar) put(value & 0xff);
      return null;
    },
  };
};

export const doorbellModule: DeviceModule = { url: moduleBeside(import.meta.url, 'doorbell'), createDevice };
