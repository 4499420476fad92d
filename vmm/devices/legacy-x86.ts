/**
 * Ports of a PC at which Linux looks whether or not anybody says that something is there. Where nobody answers a guest reads
 * ones; from the timer that would look like a counter that counts, and Linux would watch it 100,000 times.
 */
import type { CreateDevice, Device, DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';

const RANGES = [
  { base: 0x40, size: 4 }, // interval timer
  { base: 0x60, size: 5 }, // keyboard controller, and the timer's gate
] as const;

const KEYBOARD_COMMAND = 0x64;
/** Pulse the output that is wired to the CPU's reset. */
const KEYBOARD_RESET = 0xfe;

export function legacyPorts(): readonly DeviceDescription[] {
  const module = moduleBeside(import.meta.url, 'legacy-x86');
  return RANGES.map(({ base, size }) => ({ space: 'pio', base, size, module, options: base }));
}

export const createDevice: CreateDevice = (_context, options): Device => {
  const base = options as number;
  return {
    read(_offset, length, data) {
      for (let index = 0; index < length; index += 1) data.setUint8(index, 0);
      return null;
    },
    write(offset, _length, data) {
      const isReset = base + offset === KEYBOARD_COMMAND && data.getUint8(0) === KEYBOARD_RESET;
      return isReset ? { kind: 'system-event', event: 'reset' } : null;
    },
  };
};
