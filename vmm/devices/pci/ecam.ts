/** Configuration space in memory: 4096 bytes for each of bus 0's 256 functions. */
import type { CreateDevice, DeviceDescription } from '../../bus/device.ts';
import { moduleBeside } from '../../bus/shared.ts';
import { PciHost } from './host.ts';
import type { PciHostOptions } from './options.ts';

export const ECAM_SIZE = 0x10_0000;

export function ecamAt(base: number, options: PciHostOptions): DeviceDescription {
  return { space: 'mmio', base, size: ECAM_SIZE, module: moduleBeside(import.meta.url, 'ecam'), options };
}

export const createDevice: CreateDevice = ({ port }, options) => {
  const host = new PciHost(port, options as PciHostOptions);
  return {
    read: (offset, length, data) => (host.readConfig(offset, length, data), null),
    write: (offset, length, data) => (host.writeConfig(offset, length, data), null),
  };
};
