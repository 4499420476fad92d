import { Bus } from './bus.ts';
import type { Attached, Unserved } from './bus.ts';
import type { AddressSpace } from '../kvm/exits.ts';
import type { CreateDevice, DeviceDescription, DeviceModule, VcpuContext } from './device.ts';

export type Buses = Readonly<Record<AddressSpace, Bus>>;

/** What buildBuses will import, for a process that can read no file later. Throws what an import throws. */
export async function importModules(devices: readonly DeviceDescription[]): Promise<void> {
  await Promise.all(devices.map(({ module }) => import(module)));
}

/** Builds this thread's handlers. Throws what a module's import throws, and RangeError for devices that overlap. @param loaded modules that need not be imported */
export async function buildBuses(
  context: VcpuContext,
  devices: readonly DeviceDescription[],
  unserved: Unserved,
  loaded: readonly DeviceModule[] = [],
): Promise<Buses> {
  const attached: Attached[] = [];
  for (const { space, base, size, module, options } of devices) {
    const { createDevice } =
      loaded.find(({ url }) => url === module) ?? ((await import(module)) as { readonly createDevice: CreateDevice });
    attached.push({ space, base, size, device: createDevice(context, options) });
  }
  const on = (space: AddressSpace): Bus =>
    new Bus(
      space,
      attached.filter((one) => one.space === space),
      unserved,
    );
  return { mmio: on('mmio'), pio: on('pio') };
}
