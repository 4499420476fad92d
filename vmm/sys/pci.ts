/** What sysfs says of a PCI device (Documentation/ABI/testing/sysfs-bus-pci). Addresses and sizes are bytes. */
import type { Port } from './port.ts';

const PCI = '/sys/bus/pci/devices';
export const PCI_DRIVERS = '/sys/bus/pci/drivers';
export const PCI_PROBE = '/sys/bus/pci/drivers_probe';

const RESOURCE_IO = 0x100n;
const RESOURCE_MEMORY = 0x200n;
const RESOURCE_PREFETCHABLE = 0x2000n;
const RESOURCE_64_BIT = 0x10_0000n;

export interface PciBar {
  readonly bar: number;
  readonly kind: 'memory' | 'io' | 'absent';
  /** First byte in the CPU's physical (or port) space. */
  readonly start: bigint;
  readonly size: bigint;
  readonly prefetchable: boolean;
  /** Decodes 64-bit addresses, and so takes the next BAR's place too. */
  readonly is64Bit: boolean;
}

export interface PciDevice {
  readonly address: string;
  /** vendor:device, four hexadecimal digits each. */
  readonly id: string;
  /** 24-bit class code. */
  readonly classCode: number;
  readonly driver: string | null;
  /** Its driver is vfio-pci or a vendor's variant of it, so that VFIO can open the device. */
  readonly hasVfioDriver: boolean;
  readonly iommuGroup: string | null;
  /** Its node below /dev/vfio/devices; null without a VFIO driver, and on a kernel without VFIO's character devices. */
  readonly vfioCdev: string | null;
  readonly bars: readonly PciBar[];
}

const ADDRESS = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** "1:00.0" is short for domain 0000, as in lspci. Null where the text is no PCI address. */
export function normaliseAddress(text: string): string | null {
  const lower = text.toLowerCase();
  const parts = lower.split(':');
  const padded = parts.length === 2 ? `0000:${parts[0]?.padStart(2, '0')}:${parts[1]}` : lower;
  return ADDRESS.test(padded) ? padded : null;
}

/** `resource` holds one line per BAR: first byte, last byte, flags (include/linux/ioport.h); the first six are the BARs. */
export function parseResources(text: string): readonly PciBar[] {
  return text
    .split('\n')
    .slice(0, 6)
    .map((line, bar): PciBar => {
      const match = /^(0x[0-9a-f]+) (0x[0-9a-f]+) (0x[0-9a-f]+)$/.exec(line);
      const [start, last, flags] = match === null ? [0n, 0n, 0n] : match.slice(1).map(BigInt);
      const kind =
        flags === undefined || (last ?? 0n) <= (start ?? 0n)
          ? 'absent'
          : (flags & RESOURCE_MEMORY) !== 0n
            ? 'memory'
            : (flags & RESOURCE_IO) !== 0n
              ? 'io'
              : 'absent';
      if (kind === 'absent' || start === undefined || last === undefined || flags === undefined)
        return { bar, kind: 'absent', start: 0n, size: 0n, prefetchable: false, is64Bit: false };
      return {
        bar,
        kind,
        start,
        size: last - start + 1n,
        prefetchable: (flags & RESOURCE_PREFETCHABLE) !== 0n,
        is64Bit: (flags & RESOURCE_64_BIT) !== 0n,
      };
    });
}

/** Of every PCI device, in their order. */
export function pciAddresses(port: Port): readonly string[] {
  return port.exists(PCI) ? port.list(PCI).toSorted() : [];
}

export function pciFolder(address: string): string {
  return `${PCI}/${address}`;
}

/** The devices that share the IOMMU group, this one included; none without a group. */
export function groupMembers(port: Port, address: string): readonly string[] {
  const members = `${PCI}/${address}/iommu_group/devices`;
  return port.exists(members) ? port.list(members).toSorted() : [];
}

const BRIDGE = 0x06;

/** Bridges carry other devices; VFIO lets them share a group with any driver. */
export function isBridge({ classCode }: PciDevice): boolean {
  return classCode >> 16 === BRIDGE;
}

/** A driver's own name, or its module's: the kernel writes '_' for '-' in those, as in mlx5_vfio_pci and xe-vfio-pci. */
const VFIO_DRIVER = /(?:^|[-_])vfio[-_]pci$/;

/**
 * VFIO gives every device that it holds a member of its class, vfio-dev/vfioN, whatever the driver is called, and with or
 * without character devices (drivers/vfio/vfio_main.c, Linux 6.1). Older kernels have no such class, but all of their
 * drivers have vfio-pci in their names.
 */
function isHeldByVfio(port: Port, directory: string, driver: string | null): boolean {
  return driver !== null && (port.exists(`${directory}/vfio-dev`) || VFIO_DRIVER.test(driver));
}

/** A member of the class without a character device has no `dev` file (CONFIG_VFIO_DEVICE_CDEV). */
function vfioCdev(port: Port, directory: string): string | null {
  const folder = `${directory}/vfio-dev`;
  const names = port.exists(folder) ? port.list(folder) : [];
  return names.find((name) => /^(noiommu-)?vfio\d+$/.test(name) && port.exists(`${folder}/${name}/dev`)) ?? null;
}

/** Null where there is no such device. */
export function readPciDevice(port: Port, address: string): PciDevice | null {
  const directory = `${PCI}/${address}`;
  if (!port.exists(`${directory}/vendor`)) return null;
  const hex = (name: string): string => port.readText(`${directory}/${name}`).trim().replace(/^0x/, '');
  const driver = port.linkName(`${directory}/driver`);
  return {
    address,
    id: `${hex('vendor')}:${hex('device')}`,
    classCode: Number.parseInt(hex('class'), 16),
    driver,
    hasVfioDriver: isHeldByVfio(port, directory, driver),
    iommuGroup: port.linkName(`${directory}/iommu_group`),
    vfioCdev: vfioCdev(port, directory),
    bars: parseResources(port.readText(`${directory}/resource`)),
  };
}

export function resourcePath(address: string, bar: number, writeCombining: boolean): string {
  return `${PCI}/${address}/resource${bar}${writeCombining ? '_wc' : ''}`;
}
