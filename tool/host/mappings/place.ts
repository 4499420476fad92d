/** Which bytes of which BAR a mapping of a process is of, by the file that it has mapped. */
import type { PciBar, PciDevice } from '../../../vmm/sys/pci.ts';
import { VFIO_PCI } from '../../../vmm/sys/vfio.ts';
import { oneLine } from '../../verify/origin.ts';
import { VFIO_FILE } from './processes.ts';
import type { ProcessMapping } from './processes.ts';

/** What is not known is null. */
export interface Place {
  readonly by: 'sysfs' | 'vfio' | 'dev-mem';
  readonly device: PciDevice | null;
  readonly bar: number | null;
  /** Bytes from the BAR's start. */
  readonly offset: bigint | null;
  /** Fit to be shown. */
  readonly file: string;
  /** It is a resourceN_wc. */
  readonly combines: boolean;
}

const SYSFS_FILE = /^\/sys\/devices\/(?:[^/]+\/)+([0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\/resource([0-5])(_wc)?$/;
const VFIO_NODE = /^\/dev\/vfio\/devices\/((?:noiommu-)?vfio\d+)$/;
const DEV_MEM = '/dev/mem';

/** null: it is none of a BAR. @param open addresses of the devices that the process has open through VFIO */
export function placeOf(
  devices: readonly PciDevice[],
  mapping: ProcessMapping,
  open: () => readonly string[],
): Place | null {
  const { path, shared, offset } = mapping;
  if (!shared) return null;
  const file = oneLine(path, 256) ?? '?';
  const [matched, address, bar, wc] = SYSFS_FILE.exec(path) ?? [];
  if (matched !== undefined) {
    const device = devices.find((one) => one.address === address) ?? null;
    return {
      by: 'sysfs',
      device,
      bar: Number(bar),
      offset: within(device?.bars[Number(bar)], offset),
      file,
      combines: wc !== undefined,
    };
  }
  if (path === DEV_MEM) {
    const found = barAt(devices, offset);
    return found && { by: 'dev-mem', ...found, file, combines: false };
  }
  const node = VFIO_NODE.exec(path)?.[1];
  if (node === undefined && path !== VFIO_FILE) return null;
  const device =
    node === undefined ? onlyOne(devices, open()) : (devices.find(({ vfioCdev }) => vfioCdev === node) ?? null);
  return { by: 'vfio', device, ...placeInVfio(devices, device, offset), file, combines: false };
}

function onlyOne(devices: readonly PciDevice[], addresses: readonly string[]): PciDevice | null {
  const [address] = addresses;
  return addresses.length === 1 ? (devices.find((one) => one.address === address) ?? null) : null;
}

/** sysfs's mappings have the physical address as their offset in maps (pci_mmap_resource_range(), drivers/pci/mmap.c). */
function within(bar: PciBar | undefined, physical: bigint): bigint | null {
  return bar !== undefined && bar.kind === 'memory' && physical >= bar.start && physical < bar.start + bar.size
    ? physical - bar.start
    : null;
}

export function barAt(
  devices: readonly PciDevice[],
  physical: bigint,
): { readonly device: PciDevice; readonly bar: number; readonly offset: bigint } | null {
  for (const device of devices)
    for (const bar of device.bars) {
      const offset = within(bar, physical);
      if (offset !== null) return { device, bar: bar.bar, offset };
    }
  return null;
}

/** Up to Linux 6.9 the offset is a physical address; since then it is what mmap was given, the region's number in its upper bits. */
function placeInVfio(
  devices: readonly PciDevice[],
  device: PciDevice | null,
  offset: bigint,
): { readonly bar: number | null; readonly offset: bigint | null } {
  const physical = barAt(device === null ? devices : [device], offset);
  if (physical !== null) return { bar: physical.bar, offset: physical.offset };
  const region = Number(offset >> VFIO_OFFSET_SHIFT);
  const inside = offset & ((1n << VFIO_OFFSET_SHIFT) - 1n);
  const bar = device?.bars[region];
  if (region >= VFIO_PCI.barCount || bar === undefined || bar.kind !== 'memory' || inside >= bar.size)
    return { bar: null, offset: null };
  return { bar: region, offset: inside };
}

/** VFIO_PCI_OFFSET_SHIFT (include/linux/vfio_pci_core.h). */
const VFIO_OFFSET_SHIFT = 40n;
