/** What sysfs says of a PCI device (Documentation/ABI/testing/sysfs-bus-pci). Addresses and sizes are bytes. */
import type { Port } from './port.ts';

const PCI = '/sys/bus/pci/devices';

const RESOURCE_IO = 0x100n;
const RESOURCE_MEMORY = 0x200n;

export interface PciBar {
  readonly bar: number;
  readonly kind: 'memory' | 'io' | 'absent';
  /** First byte in the CPU's physical (or port) space. */
  readonly start: bigint;
  readonly size: bigint;
}

export interface PciDevice {
  readonly address: string;
  /** vendor:device, four hexadecimal digits each. */
  readonly id: string;
  /** 24-bit class code. */
  readonly classCode: number;
  readonly driver: string | null;
  readonly iommuGroup: string | null;
  /** Its node below /dev/vfio/devices, once vfio-pci has it. */
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

/** `resource` holds one line per BAR: first byte, last byte, flags; the first six are the BARs. */
export function parseResources(text: string): readonly PciBar[] {
  return text
    .split('\n')
    .slice(0, 6)
    .map((line, bar): PciBar => {
      const match = /^(0x[0-9a-f]+) (0x[0-9a-f]+) (0x[0-9a-f]+)$/.exec(line);
      const [start, last, flags] = match === null ? [0n, 0n, 0n] : match.slice(1).map(BigInt);
      if (start === undefined || last === undefined || flags === undefined || last <= start) return { bar, kind: 'absent', start: 0n, size: 0n };
      const size = last - start + 1n;
      if ((flags & RESOURCE_MEMORY) !== 0n) return { bar, kind: 'memory', start, size };
      return (flags & RESOURCE_IO) !== 0n ? { bar, kind: 'io', start, size } : { bar, kind: 'absent', start: 0n, size: 0n };
    });
}

/** Null where there is no such device. */
export function readPciDevice(port: Port, address: string): PciDevice | null {
  const directory = `${PCI}/${address}`;
  if (!port.exists(`${directory}/vendor`)) return null;
  const hex = (name: string): string => port.readText(`${directory}/${name}`).trim().replace(/^0x/, '');
  const cdevs = port.exists(`${directory}/vfio-dev`) ? port.list(`${directory}/vfio-dev`) : [];
  return {
    address,
    id: `${hex('vendor')}:${hex('device')}`,
    classCode: Number.parseInt(hex('class'), 16),
    driver: port.linkName(`${directory}/driver`),
    iommuGroup: port.linkName(`${directory}/iommu_group`),
    vfioCdev: cdevs.find((name) => /^(noiommu-)?vfio\d+$/.test(name)) ?? null,
    bars: parseResources(port.readText(`${directory}/resource`)),
  };
}

export function resourcePath(address: string, bar: number, writeCombining: boolean): string {
  return `${PCI}/${address}/resource${bar}${writeCombining ? '_wc' : ''}`;
}
