/**
 * Guest RAM for DMA. The first device's address space pins the pages; every further device gets them by IOMMU_IOAS_COPY,
 * so that ten devices neither pin ten times nor are charged ten times to RLIMIT_MEMLOCK.
 */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import type { Port } from '../sys/port.ts';
import type { PciDevice } from '../sys/pci.ts';
import { enableDma, findDevice, openVfioDevice } from './device.ts';
import type { VfioDevice } from './device.ts';
import { mapRam, shareRam } from './dma.ts';
import type { DmaRam, DmaSpace } from './dma.ts';
import type { HostMapping } from '../memory/mapping.ts';
import { isNoIommu } from './no-iommu.ts';

/** A device behind an IOMMU. */
export type DmaDevice = VfioDevice & { readonly dma: DmaSpace };

/**
 * The devices that shall reach guest RAM, by their addresses. `opened` is the device of the windows, if VFIO has it: it
 * reaches guest RAM only if its address is among them, and is not opened twice.
 *
 * Throws WcvmmError: E_NO_IOMMU, E_USAGE (two devices that cannot share pinned pages), and as `openVfioDevice`.
 */
export function attachForDma(
  port: Port,
  scope: Scope,
  opened: VfioDevice | null,
  addresses: readonly string[],
): readonly DmaDevice[] {
  const devices: DmaDevice[] = [];
  for (const text of addresses) {
    const pci = findDevice(port, text);
    if (devices.some((device) => device.pci.address === pci.address)) continue;
    const [leader] = devices;
    if (leader?.dma.kind === 'container') throw cannotShare(text);
    const device = pci.address === opened?.pci.address ? opened : openForDma(port, scope, pci, leader ?? opened);
    if (!hasIommu(device)) throw withoutIommu(pci);
    if (leader !== undefined && iommufdOf(device) !== iommufdOf(leader)) throw cannotShare(text);
    devices.push(device);
  }
  return devices;
}

function openForDma(port: Port, scope: Scope, pci: PciDevice, other: VfioDevice | null): VfioDevice {
  if (isNoIommu(port, pci)) throw withoutIommu(pci);
  const shared = other === null ? null : iommufdOf(other);
  return openVfioDevice(port, scope, pci, shared === null ? {} : { iommu: 'iommufd', shared });
}

function hasIommu(device: VfioDevice): device is DmaDevice {
  return device.dma.kind !== 'none';
}

function iommufdOf({ dma }: VfioDevice): number | null {
  return dma.kind === 'ioas' ? dma.iommufd : null;
}

function withoutIommu({ address }: PciDevice): WcvmmError {
  return new WcvmmError(
    'E_NO_IOMMU',
    `--dma-device ${address}: there is no IOMMU, so the device would reach the host's memory by its physical addresses instead of guest RAM. Leave --dma-device out: windows of the BAR need no DMA.`,
  );
}

function cannotShare(text: string): WcvmmError {
  return new WcvmmError(
    'E_USAGE',
    `--dma-device ${text} needs iommufd, to share pinned memory with the first device; expected no --iommu container and a kernel with /dev/iommu.`,
  );
}

/**
 * Maps guest RAM for every device at its guest-physical address, and only then lets the device start transfers. All are
 * attached by now, so the addresses that each allows are as narrow as they get. Throws E_IOVA, E_PERMISSION.
 */
export function ramForDevices(
  port: Port,
  devices: readonly DmaDevice[],
  ram: HostMapping,
  gpa: bigint,
): readonly DmaRam[] {
  const [leader, ...others] = devices;
  if (leader === undefined) return [];
  const first = mapRam(port, leader.dma, ram, gpa);
  const { space } = first;
  const shared =
    space.kind === 'container'
      ? []
      : others.flatMap(({ dma }) => (dma.kind === 'ioas' ? [shareRam(port, { ...first, space }, dma)] : []));
  for (const device of devices) enableDma(port, device);
  return [first, ...shared];
}
