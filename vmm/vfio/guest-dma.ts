/** All RAM of a guest for all of its devices, at guest-physical addresses: pinned once where one iommufd has the devices. */
import type { Scope } from '../../common/scope.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';
import { ioasUnmap } from '../sys/iommufd.ts';
import type { Port } from '../sys/port.ts';
import { containerUnmapDma } from '../sys/vfio.ts';
import type { VfioDevice } from './device.ts';
import { allowedRanges, mapRam, reservedIn, shareRam } from './dma.ts';
import type { DmaRam, DmaSpace } from './dma.ts';

/** Address spaces of devices; one without an IOMMU has none. */
function spacesOf(devices: readonly VfioDevice[]): readonly DmaSpace[] {
  return devices.flatMap(({ dma }) => (dma.kind === 'none' ? [] : [dma]));
}

/** Guest-physical addresses below `limit` at which RAM could not be mapped for one of the devices. */
export function keptIovas(port: Port, devices: readonly VfioDevice[], limit: bigint): readonly RamRange[] {
  return spacesOf(devices).flatMap((space) =>
    reservedIn(allowedRanges(port, space) ?? [{ start: 0n, last: limit }], 0n, limit).map(({ start, last }) => ({
      gpa: start,
      length: last - start + 1n,
    })),
  );
}

/**
 * Maps `ram` for every device that has an IOMMU, until `scope` closes. No device may start a transfer before or after.
 *
 * Throws E_IOVA (the IOMMU keeps a part of these addresses), E_PERMISSION (too much to be pinned).
 */
export function mapGuestRam(port: Port, scope: Scope, devices: readonly VfioDevice[], ram: GuestRam): void {
  for (const { gpa, mapping } of ram.regions) {
    const pinned: (DmaRam & { readonly space: { readonly kind: 'ioas' } })[] = [];
    for (const space of spacesOf(devices)) {
      const from = space.kind === 'ioas' ? pinned.find((one) => one.space.iommufd === space.iommufd) : undefined;
      if (space.kind === 'ioas' && from !== undefined) shareRam(port, from, space);
      else mapRam(port, space, mapping, gpa);
      if (space.kind === 'ioas') pinned.push({ space, iova: gpa, length: mapping.length });
      scope.defer(() => unmap(port, space, gpa, mapping.length));
    }
  }
}

function unmap(port: Port, space: DmaSpace, iova: bigint, length: bigint): void {
  if (space.kind === 'ioas') ioasUnmap(port, space.iommufd, space.ioas, iova, length);
  else containerUnmapDma(port, space.container, iova, length);
}
