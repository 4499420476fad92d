/** A window of the PCI host bridge: what no memslot covers of it. */
import type { CreateDevice, DeviceDescription } from '../../bus/device.ts';
import { moduleBeside } from '../../bus/shared.ts';
import { PciHost } from './host.ts';
import type { AddressRange, PciHostOptions } from './options.ts';

interface MemoryOptions {
  readonly base: number;
  readonly host: PciHostOptions;
}

export function pciMemoryAt({ base, size }: AddressRange, host: PciHostOptions): DeviceDescription {
  const options: MemoryOptions = { base, host };
  return { space: 'mmio', base, size, module: moduleBeside(import.meta.url, 'memory'), options };
}

export const createDevice: CreateDevice = ({ port }, options) => {
  const { base, host: hostOptions } = options as MemoryOptions;
  const host = new PciHost(port, hostOptions);
  return {
    read: (offset, length, data) => (host.readMemory(base + offset, length, data), null),
    write: (offset, length, data) => (host.writeMemory(base + offset, length, data), null),
  };
};
