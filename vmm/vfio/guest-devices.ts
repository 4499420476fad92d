/** The devices that a Linux guest is to have: opened, each once, and with one iommufd for all. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import type { MapRequest } from '../memory/map.ts';
import type { Port } from '../sys/port.ts';
import { findDevice } from './device.ts';
import type { IommuPath, VfioDevice } from './device.ts';
import { openSource } from './source.ts';
import type { BarSource } from './source.ts';

export interface GuestDeviceRequest {
  /** A PCI address. */
  readonly address: string;
  readonly maps: readonly MapRequest[];
}

export interface GuestDevice {
  readonly source: BarSource & { readonly device: VfioDevice };
  readonly maps: readonly MapRequest[];
}

/**
 * Opens them in their order. Every attribute but `default` needs a kernel with mmap cookies.
 *
 * Throws E_USAGE for a device that is named twice, and as openSource does.
 */
export function openGuestDevices(
  port: Port,
  scope: Scope,
  requests: readonly GuestDeviceRequest[],
  iommu: IommuPath | 'auto',
): readonly GuestDevice[] {
  const found = requests.map(({ address, maps }) => ({ pci: findDevice(port, address), maps }));
  for (const [index, { pci }] of found.entries()) {
    if (found.findIndex((other) => other.pci.address === pci.address) !== index) {
      throw new WcvmmError('E_USAGE', `--device ${pci.address} is given twice; expected each device once.`);
    }
  }
  const opened: GuestDevice[] = [];
  for (const { pci, maps } of found) {
    const attributes = maps.map(({ attribute }) => attribute).filter((attribute) => attribute !== 'default');
    const kind = attributes.length > 0 ? 'cookie' : 'legacy';
    const first = opened.map(({ source }) => source.device.dma).find((dma) => dma.kind === 'ioas');
    const shared = first?.kind === 'ioas' ? first.iommufd : undefined;
    const source = openSource(port, scope, { kind, pci, iommu, attributes, ...(shared !== undefined && { shared }) });
    const { device } = source;
    if (device === null) throw new RangeError('a source without a VFIO device');
    opened.push({ source: { ...source, device }, maps });
  }
  return opened;
}
