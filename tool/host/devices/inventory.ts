/** The PCI devices, and how their BARs can be mapped. */
import { ATTRIBUTES } from '../../../memattr/model.ts';
import type { Attribute } from '../../../memattr/model.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { Scope } from '../../../common/scope.ts';
import { isBridge, pciAddresses, readPciDevice, resourcePath } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { readMsix } from '../../../vmm/sys/pci-config.ts';
import type { Msix } from '../../../vmm/sys/pci-config.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { MMAP_ATTRIBUTE, VFIO_PCI, getRegionInfo } from '../../../vmm/sys/vfio.ts';
import { decodeCapabilities, mmapAttributes } from '../../../vmm/vfio/capabilities.ts';
import type { Area } from '../../../vmm/vfio/capabilities.ts';
import { openVfioDevice } from '../../../vmm/vfio/device.ts';
import { SYSFS_COMBINES, mappableAreas } from '../../../vmm/vfio/source.ts';
import { boundTo } from './steps.ts';
import { groupOthers, usesOf } from './use.ts';

/** What VFIO says about a BAR. */
export interface VfioRegion {
  readonly mappable: readonly Area[];
  /** By mmap cookie; null where the kernel has none: then `default`, by the legacy offset. */
  readonly attributes: readonly Attribute[] | null;
}

export type VfioAnswer =
  | { readonly kind: 'asked'; readonly regions: readonly VfioRegion[] }
  | { readonly kind: 'not-asked'; readonly why: string };

export interface ListedDevice extends Omit<PciDevice, 'vfioCdev'> {
  /** By sysfs, for each BAR: resourceN gives `device`, resourceN_wc `wc`. */
  readonly sysfs: readonly (readonly Attribute[])[];
  readonly msix: Msix | null | 'unknown';
  /** The others of its IOMMU group, with their drivers. */
  readonly groupOthers: readonly { readonly address: string; readonly driver: string | null }[];
  readonly uses: readonly string[];
  readonly vfio: VfioAnswer;
}

function attributesOf(bits: number | null): readonly Attribute[] | null {
  return bits === null ? null : ATTRIBUTES.filter((name) => (bits & (1 << MMAP_ATTRIBUTE[name])) !== 0);
}

export interface ListOptions {
  /** Bridges too, and devices without a memory BAR. */
  readonly all: boolean;
  /** Open the devices that VFIO holds and that are not in use, to ask what can be mapped. The kernel resets them then. */
  readonly open: boolean;
}

/** What VFIO can map is known of an open device only; its memory stays off. */
function askVfio(port: Port, pci: PciDevice, uses: readonly string[], open: boolean): VfioAnswer {
  if (!pci.hasVfioDriver) return { kind: 'not-asked', why: 'not bound to vfio-pci' };
  if (uses.length > 0) return { kind: 'not-asked', why: 'in use' };
  if (!open)
    return { kind: 'not-asked', why: 'not opened; "wcvmm devices --open" does that, and it resets the device' };
  const scope = new Scope();
  try {
    const device = openVfioDevice(port, scope, pci, { memory: false });
    const regions = Array.from({ length: VFIO_PCI.barCount }, (_, bar): VfioRegion => {
      const info = getRegionInfo(port, device.fd, bar);
      const capabilities = decodeCapabilities(info.reply, info.capabilityOffset);
      return {
        mappable: info.size === 0n ? [] : mappableAreas(info),
        attributes: attributesOf(mmapAttributes(capabilities)),
      };
    });
    return { kind: 'asked', regions };
  } catch (error) {
    if (error instanceof WcvmmError || error instanceof SysError) return { kind: 'not-asked', why: error.message };
    throw error;
  } finally {
    scope.close();
  }
}

function listed(port: Port, pci: PciDevice, open: boolean): ListedDevice {
  const { vfioCdev: _node, ...rest } = pci;
  const uses = usesOf(port, pci);
  return {
    ...rest,
    sysfs: pci.bars.map(({ bar, kind }) => (kind === 'memory' ? sysfsAttributes(port, pci.address, bar) : [])),
    msix: readMsix(port, pci.address),
    groupOthers: groupOthers(port, pci).map((address) => ({ address, driver: boundTo(port, address) })),
    uses,
    vfio: askVfio(port, pci, uses, open),
  };
}

function sysfsAttributes(port: Port, address: string, bar: number): readonly Attribute[] {
  return ATTRIBUTES.filter(
    // What sysfs gives for default is what it gives for device.
    (attribute) => attribute !== 'default' && port.exists(resourcePath(address, bar, SYSFS_COMBINES[attribute])),
  );
}

/** In the order of their addresses. */
export function listDevices(port: Port, { all, open }: ListOptions): readonly ListedDevice[] {
  return pciAddresses(port)
    .flatMap((address) => readPciDevice(port, address) ?? [])
    .filter((pci) => all || (!isBridge(pci) && pci.bars.some(({ kind }) => kind === 'memory')))
    .map((pci) => listed(port, pci, open));
}
