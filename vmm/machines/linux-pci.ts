/** Passed-through devices of a Linux machine: its RAM for their DMA, and a PCI host bridge where linux-map.ts has room for it. */
import { Scope } from '../../common/scope.ts';
import type { Arch } from '../../memattr/index.ts';
import type { DeviceDescription } from '../bus/device.ts';
import { openPciHost } from '../devices/pci/open.ts';
import type { OpenPciHost } from '../devices/pci/open.ts';
import type { AddressRange } from '../devices/pci/options.ts';
import { openKvm } from '../kvm/vm.ts';
import type { Vm } from '../kvm/vm.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';
import type { Port } from '../sys/port.ts';
import type { VfioDevice } from '../vfio/device.ts';
import { mapGuestRam } from '../vfio/guest-dma.ts';
import type { GuestDevice } from '../vfio/guest-devices.ts';
import { tellKvm } from '../vfio/kvm.ts';
import type { LinuxArchitecture } from './linux-arch.ts';
import { LINUX_MAP, linuxMap } from './linux-map.ts';
import type { LinuxMap } from './linux-map.ts';

export interface AttachPci {
  readonly devices: readonly GuestDevice[];
  /** As in PciHostRequest. */
  readonly enforce: boolean;
  /** Default: the architecture's usual one. */
  readonly map?: LinuxMap;
}

export interface AttachedPci {
  readonly host: OpenPciHost;
  readonly descriptions: readonly DeviceDescription[];
}

/** Beyond the pins of any interrupt controller that has routes of its own. */
const FIRST_GSI = 64;

/**
 * For one boot: everything ends with `scope`, in which the VM and its RAM were made before.
 *
 * Throws E_IOVA, E_PERMISSION, E_PASSTHROUGH, and as planWindows and mapWindow do.
 */
export function attachPci(
  port: Port,
  scope: Scope,
  arch: Arch,
  { vm, slots }: Vm,
  ram: GuestRam,
  { devices, enforce, map = LINUX_MAP[arch] }: AttachPci,
): AttachedPci {
  const opened = devices.map(({ source }) => source.device);
  mapGuestRam(port, scope, opened, ram);
  tellKvm(port, scope, vm, opened);
  const { ecam, memory32, memory64 } = map.pci;
  const host = openPciHost(port, scope, {
    vm,
    slots,
    windows: { low: inNumbers(memory32), high: inNumbers(memory64) },
    firstGsi: FIRST_GSI,
    fixedRoutes: [],
    hasIts: arch === 'arm64',
    enforce,
    devices: devices.map(({ source, maps }) => ({ source, maps, mayTransfer: hasIommu(source.device) })),
  });
  return { host, descriptions: host.descriptions(Number(ecam.gpa), arch === 'x86') };
}

/** The map for a machine of this KVM's with so much RAM and these devices. Throws as openKvm does. */
export function mapFor(
  port: Port,
  { name, addressBits }: Pick<LinuxArchitecture, 'name' | 'addressBits'>,
  ramLength: bigint,
  devices: readonly GuestDevice[],
): LinuxMap {
  const scope = new Scope();
  try {
    const sizes = devices.flatMap(({ source }) => source.regions.map(({ size }) => size));
    const barBytes = sizes.reduce((sum, size) => sum + size, 0n);
    return linuxMap(name, { ramLength, barBytes, bits: addressBits(port, openKvm(port, scope)) });
  } finally {
    scope.close();
  }
}

/** Without an IOMMU a device would reach the host's memory instead of the guest's. */
export function hasIommu({ dma }: VfioDevice): boolean {
  return dma.kind !== 'none';
}

function inNumbers({ gpa, length }: RamRange): AddressRange {
  return { base: Number(gpa), size: Number(length) };
}
