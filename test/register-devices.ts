/** Devices of the emulator whose BARs are registers, beside the testbed's own. */

/** The first free slots of the root bus; their buses follow those of the testbed's own devices. */
export const DEVICES = [
  { name: 'a NIC', option: 'e1000e', slot: '0x18', address: '0000:05:00.0', region: 'e1000e-mmio', bar: 'bar0' },
  {
    name: 'a display',
    option: 'bochs-display',
    slot: '0x19',
    address: '0000:06:00.0',
    region: 'edid',
    bar: 'bar2',
  },
  { name: 'a test device', option: 'edu', slot: '0x1a', address: '0000:07:00.0', region: 'edu-mmio', bar: 'bar0' },
] as const;

type RegisterDevice = (typeof DEVICES)[number];

/** What the emulator is started with. */
export const ATTACHED: readonly string[] = DEVICES.flatMap(attach);

function attach({ option, slot }: RegisterDevice): readonly string[] {
  const port = `pcie-root-port,id=extra${slot},bus=pcie.0,addr=${slot},chassis=${Number(slot)}`;
  return ['-device', port, '-device', `${option},bus=extra${slot}`];
}

export function mapsOf({ bar, name }: RegisterDevice): readonly string[] {
  if (name === 'a display') return ['-m', `${bar}=device`];
  return ['-m', `${bar}:0-4K=device`, '-m', `${bar}:4K-8K=wc`, '-m', `${bar}:8K-64K=default`];
}
