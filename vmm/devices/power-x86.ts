/** Three ports by which an x86 guest ends or restarts: ACPI's sleep control and status registers, and its reset register. */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';

export const POWER_PORTS = { sleepControl: 0x600, sleepStatus: 0x601, reset: 0x602 } as const;
export const RESET_VALUE = 1;

/** Of the sleep control register (ACPI 6.5, 4.8.4.1): SLP_EN, and where SLP_TYP is. */
const SLEEP_ENABLE = 0x20;
const SLEEP_TYPE = 2;

/** @param sleepTypeOff the DSDT's SLP_TYP for power-off */
export function powerPorts(sleepTypeOff: number): DeviceDescription {
  return {
    space: 'pio',
    base: POWER_PORTS.sleepControl,
    size: 3,
    module: moduleBeside(import.meta.url, 'power-x86'),
    options: sleepTypeOff,
  };
}

export const createDevice: CreateDevice = (_context, options): Device => {
  const off = SLEEP_ENABLE | ((options as number) << SLEEP_TYPE);
  return {
    read(_offset, _length, data) {
      data.setUint8(0, 0);
      return null;
    },
    write(offset, _length, data) {
      const port = POWER_PORTS.sleepControl + offset;
      const value = data.getUint8(0);
      if (port === POWER_PORTS.sleepControl && value === off) return { kind: 'system-event', event: 'shutdown' };
      if (port === POWER_PORTS.reset && value === RESET_VALUE) return { kind: 'system-event', event: 'reset' };
      return null;
    },
  };
};
