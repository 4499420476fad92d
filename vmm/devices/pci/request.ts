import type { MapRequest } from '../../memory/map.ts';
import type { Memslots } from '../../memory/slots.ts';
import type { GsiRoute } from '../../sys/kvm-irq.ts';
import type { VfioDevice } from '../../vfio/device.ts';
import type { BarSource } from '../../vfio/source.ts';
import type { BridgeWindows } from './placement.ts';

export interface PassedDevice {
  /** Of the kind `cookie` or `legacy`. */
  readonly source: BarSource & { readonly device: VfioDevice };
  /** Which parts of the BARs get another attribute than `default`. */
  readonly maps: readonly MapRequest[];
  /** Guest RAM, and nothing else, is mapped for its DMA at guest-physical addresses. */
  readonly mayTransfer: boolean;
}

export interface PciHostRequest {
  readonly vm: number;
  readonly slots: Memslots;
  readonly windows: BridgeWindows;
  /** Messages are GSIs from this one on. */
  readonly firstGsi: number;
  readonly fixedRoutes: readonly GsiRoute[];
  /** arm64: an ITS tells devices apart by their numbers on the bus. */
  readonly hasIts: boolean;
  /** Windows of the attribute `device` get no memslot, so that no guest can relax them. */
  readonly enforce?: boolean;
  readonly devices: readonly PassedDevice[];
  readonly pageSize?: number;
}
