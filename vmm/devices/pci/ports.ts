/** x86's configuration ports (PCI Local Bus 3.0, 3.2.2.3.2): an address at 0xcf8, 32 bits wide, and the data at 0xcfc. */
import type { CreateDevice, DeviceDescription } from '../../bus/device.ts';
import { moduleBeside } from '../../bus/shared.ts';
import { PciHost } from './host.ts';
import type { PciHostOptions } from './options.ts';

const CONFIG_ADDRESS = 0xcf8;
const SIZE = 8;
const DATA = 4;

const ENABLE = 0x8000_0000;
const BUS = 0x00ff_0000;

export function pciPorts(options: PciHostOptions): DeviceDescription {
  return { space: 'pio', base: CONFIG_ADDRESS, size: SIZE, module: moduleBeside(import.meta.url, 'ports'), options };
}

export const createDevice: CreateDevice = ({ port }, options) => {
  const host = new PciHost(port, options as PciHostOptions);
  const address = new Int32Array((options as PciHostOptions).configAddress);

  /** As in ECAM; null where the address names no register of bus 0. */
  const target = (offset: number): number | null => {
    const word = Atomics.load(address, 0);
    if (offset < DATA || (word & ENABLE) === 0 || (word & BUS) !== 0) return null;
    return ((word & 0xff00) << 4) | ((word & 0xfc) + offset - DATA);
  };
  return {
    read(offset, length, data) {
      const at = target(offset);
      if (at !== null) host.readConfig(at, length, data);
      else if (offset === 0 && length === 4) data.setInt32(0, Atomics.load(address, 0), true);
      else new Uint8Array(data.buffer, data.byteOffset, length).fill(0xff);
      return null;
    },
    write(offset, length, data) {
      const at = target(offset);
      if (at !== null) host.writeConfig(at, length, data);
      else if (offset === 0 && length === 4) Atomics.store(address, 0, data.getInt32(0, true));
      return null;
    },
  };
};
