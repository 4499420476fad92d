/**
 * Guest RAM for DMA. The first device's address space pins the pages; every further device gets them by IOMMU_IOAS_COPY,
 * so that ten devices neither pin ten times nor are charged ten times to RLIMIT_MEMLOCK.
 */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import type { Port } from '../sys/port.ts';
import { findDevice, openVfioDevice } from './device.ts';
import type { VfioDevice } from './device.ts';
import { mapRam, shareRam } from './dma.ts';
import type { DmaRam } from './dma.ts';
import type { HostMapping } from '../memory/mapping.ts';
import { isNoIommu } from './no-iommu.ts';

/** The devices that shall reach guest RAM: the one that the windows are of, if VFIO has it, and `more` by their addresses. */
export function attachForDma(
  port: Port,
  scope: Scope,
  first: VfioDevice | null,
  more: readonly string[],
): readonly VfioDevice[] {
  const devices = first === null ? [] : [first];
  for (const text of more) {
    const pci = findDevice(port, text);
    const [leader] = devices;
    if (isNoIommu(port, pci) || leader?.dma.kind === 'none') {
      throw new WcvmmError(
        'E_NO_IOMMU',
        `--dma-device ${text}: there is no IOMMU, so a device would reach the host's memory by its physical addresses instead of guest RAM. Leave --dma-device out: windows of the BAR need no DMA.`,
      );
    } else if (leader === undefined) {
      devices.push(openVfioDevice(port, scope, pci));
    } else if (leader.dma.kind === 'ioas') {
      devices.push(openVfioDevice(port, scope, pci, { iommu: 'iommufd', shared: leader.dma.iommufd }));
    } else {
      throw new WcvmmError(
        'E_USAGE',
        `--dma-device ${text} needs iommufd, to share pinned memory with the first device; expected no --iommu container and a kernel with /dev/iommu.`,
      );
    }
  }
  return devices;
}

/** Maps guest RAM for every device. All are attached by now, so the ranges that each allows are as narrow as they get. */
export function ramForDevices(
  port: Port,
  devices: readonly VfioDevice[],
  ram: HostMapping,
  gpa: bigint,
): readonly DmaRam[] {
  const [leader, ...others] = devices;
  if (leader === undefined || leader.dma.kind === 'none') return [];
  const first = mapRam(port, leader.dma, ram, gpa);
  const { space } = first;
  if (space.kind === 'container') return [first];
  const shared = others.flatMap(({ dma }) =>
    dma.kind === 'ioas' ? [shareRam(port, { ...first, space }, dma, gpa)] : [],
  );
  return [first, ...shared];
}
