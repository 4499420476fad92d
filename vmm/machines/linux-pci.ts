/** Passed-through devices of a Linux machine: its RAM for their DMA, and a PCI host bridge where linux-map.ts has room for it. */
import type { Scope } from '../../common/scope.ts';
import type { Arch } from '../../memattr/index.ts';
import type { DeviceDescription } from '../bus/device.ts';
import { openPciHost } from '../devices/pci/open.ts';
import type { OpenPciHost } from '../devices/pci/open.ts';
import type { AddressRange } from '../devices/pci/options.ts';
import type { Vm } from '../kvm/vm.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';
import type { Port } from '../sys/port.ts';
import type { VfioDevice } from '../vfio/device.ts';
import { mapGuestRam } from '../vfio/guest-dma.ts';
import type { GuestDevice } from '../vfio/guest-devices.ts';
import { tellKvm } from '../vfio/kvm.ts';
import { LINUX_MAP } from './linux-map.ts';

export interface AttachPci {
  readonly devices: readonly GuestDevice[];
  /** As in PciHostRequest. */
  readonly enforce: boolean;
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
  { devices, enforce }: AttachPci,
): AttachedPci {
  const opened = devices.map(({ source }) => source.device);
  mapGuestRam(port, scope, opened, ram);
  tellKvm(port, scope, vm, opened);
  const { ecam, memory32, memory64 } = LINUX_MAP[arch].pci;
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

/** Without an IOMMU a device would reach the host's memory instead of the guest's. */
export function hasIommu({ dma }: VfioDevice): boolean {
  return dma.kind !== 'none';
}

function inNumbers({ gpa, length }: RamRange): AddressRange {
  return { base: Number(gpa), size: Number(length) };
}
