/**
 * Where the mapping of a BAR comes from. One interface, four origins:
 *   cookie  an mmap cookie with the attribute that was asked for (needs the series in kernel-patches/)
 *   legacy  REGION_INFO's own mmap offset: the attribute default and no other
 *   sysfs   resourceN and resourceN_wc: stock kernels, no IOMMU; on arm64 resourceN is the strict comparator
 *   memory  a memfd in the BAR's place, for a machine with /dev/kvm and no device: proves the control plane only
 */
import type { Attribute, Source } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { Placement, Region, Window } from '../memory/index.ts';
import type { Scope } from '../../common/scope.ts';
import type { PciDevice } from '../sys/pci.ts';
import { resourcePath } from '../sys/pci.ts';
import type { Port } from '../sys/port.ts';
import { REGION_FLAG, VFIO_PCI, getRegionInfo } from '../sys/vfio.ts';
import type { RegionInfo } from '../sys/vfio.ts';
import { openNode } from '../sys/node.ts';
import { decodeCapabilities, sparseAreas } from './capabilities.ts';
import { requestCookie, requireMmapCookies } from './cookie.ts';
import { openVfioDevice, requireVfioDriver } from './device.ts';
import type { IommuPath, VfioDevice } from './device.ts';
import { mapPlaced } from '../memory/mapping.ts';
import type { Mapping, Slice } from '../memory/mapping.ts';

export interface BarSource {
  readonly kind: Source;
  /** Null where memory stands in for a device. */
  readonly pci: PciDevice | null;
  /** One for each BAR, by number. */
  readonly regions: readonly Region[];
  /** The opened VFIO device, for DMA and reset; null where VFIO has no part. */
  readonly device: VfioDevice | null;
  /** What has to be mapped for a planned window; its file is open until the scope closes that the source was opened in. */
  slice(window: Window): Slice;
  /** Maps a planned window; the mapping ends with that scope too. */
  map(window: Window, placement: Placement): Mapping;
}

export type SourceRequest =
  | {
      readonly kind: 'cookie' | 'legacy';
      readonly pci: PciDevice;
      readonly iommu?: IommuPath | 'auto';
      /** As in OpenOptions. */
      readonly shared?: number;
      readonly attributes: readonly Attribute[];
    }
  | { readonly kind: 'sysfs'; readonly pci: PciDevice }
  | { readonly kind: 'memory'; readonly size: bigint };

export function openSource(port: Port, scope: Scope, request: SourceRequest): BarSource {
  switch (request.kind) {
    case 'cookie':
    case 'legacy':
      return openVfioSource(port, scope, request);
    case 'sysfs':
      return openSysfsSource(port, scope, request.pci);
    case 'memory':
      return openMemorySource(port, scope, request.size);
  }
}

/** Throws E_NO_IOMMU or E_DEVICE_DRIVER where the device's driver rules the source out; nothing is opened for that. */
export function requireSource(request: SourceRequest): void {
  switch (request.kind) {
    case 'cookie':
    case 'legacy':
      requireVfioDriver(request.pci);
      return;
    case 'sysfs':
      requireUnusedBars(request.pci);
      return;
    case 'memory':
  }
}

/** The part of a VFIO region that user space may map: sparse areas where the driver names them, else all or nothing. */
export function mappableAreas(info: RegionInfo): Region['mmappable'] {
  if ((info.flags & REGION_FLAG.mmap) === 0) return [];
  const whole = [{ offset: 0n, length: info.size }];
  if ((info.flags & REGION_FLAG.caps) === 0) return whole;
  const capabilities = decodeCapabilities(info.reply, info.capabilityOffset);
  // Announced but missing: it is not known what may be mapped.
  return capabilities.length === 0 ? [] : (sparseAreas(capabilities) ?? whole);
}

function openVfioSource(
  port: Port,
  scope: Scope,
  { kind, pci, iommu = 'auto', shared, attributes }: SourceRequest & { kind: 'cookie' | 'legacy' },
): BarSource {
  const device = openVfioDevice(port, scope, pci, { iommu, ...(shared !== undefined && { shared }) });
  if (kind === 'cookie') requireMmapCookies(port, device.fd, attributes);
  const infos = Array.from({ length: VFIO_PCI.barCount }, (_, bar) => getRegionInfo(port, device.fd, bar));
  const regions = infos.map((info, bar): Region => {
    const sysfsKind = pci.bars[bar]?.kind ?? 'absent';
    return { bar, kind: info.size === 0n ? 'absent' : sysfsKind, size: info.size, mmappable: mappableAreas(info) };
  });
  const offsetOf = ({ bar, attribute }: Window): bigint => {
    if (kind === 'cookie') return requestCookie(port, device.fd, bar, attribute).offset;
    refuseAttribute('legacy', attribute, attribute === 'default');
    return infos[bar]?.offset ?? 0n;
  };
  const slice = (window: Window): Slice => ({
    fd: device.fd,
    offset: offsetOf(window) + window.offset,
    length: window.length,
  });
  const map: BarSource['map'] = (window, placement) => mapPlaced(port, scope, slice(window), placement);
  return { kind, pci, regions, device, slice, map };
}

/** A source never maps with another attribute than the one that was asked for. */
function refuseAttribute(source: 'legacy' | 'sysfs', attribute: Attribute, possible: boolean): void {
  if (possible) return;
  throw new WcvmmError(
    'E_SOURCE',
    `--source ${source} cannot map a BAR as ${attribute}: ${source === 'legacy' ? "REGION_INFO's mmap offset has no attribute and gives default only" : 'sysfs has no resource file for it'}. ` +
      'Use --source cookie on a kernel with the series in kernel-patches/ (mmap cookies).',
  );
}

/** Which of sysfs's two files gives the attribute: resourceN_wc, or resourceN. */
export const SYSFS_COMBINES: Readonly<Record<Attribute, boolean>> = { default: false, device: false, wc: true };

function openSysfsSource(port: Port, scope: Scope, pci: PciDevice): BarSource {
  const device = wakeForSysfs(port, scope, pci);
  const exists = (bar: number): boolean => port.exists(resourcePath(pci.address, bar, false));
  const regions = pci.bars.map(({ bar, kind, size }): Region => {
    const whole = kind === 'memory' && exists(bar) ? [{ offset: 0n, length: size }] : [];
    return { bar, kind, size, mmappable: whole };
  });
  const opened = new Map<string, number>();
  const open = (path: string): number => {
    const absent = new WcvmmError('E_DEVICE_ABSENT', `${path} went away; was the device removed?`);
    const fd = openNode(port, scope, path, absent);
    opened.set(path, fd);
    return fd;
  };
  const slice = ({ bar, attribute, offset, length }: Window): Slice => {
    const path = resourcePath(pci.address, bar, SYSFS_COMBINES[attribute]);
    const known = opened.get(path);
    refuseAttribute('sysfs', attribute, known !== undefined || port.exists(path));
    return { fd: known ?? open(path), offset, length };
  };
  const map: BarSource['map'] = (window, placement) => mapPlaced(port, scope, slice(window), placement);
  return { kind: 'sysfs', pci, regions, device, slice, map };
}

/**
 * sysfs maps a BAR whether or not the device answers. A device with no driver is switched on through its `enable` file; one
 * that VFIO holds sleeps until it is opened, so it is opened; one that another driver uses is left alone.
 */
function wakeForSysfs(port: Port, scope: Scope, pci: PciDevice): VfioDevice | null {
  if (pci.hasVfioDriver) return openVfioDevice(port, scope, pci);
  requireUnusedBars(pci);
  const enable = `/sys/bus/pci/devices/${pci.address}/enable`;
  port.writeText(enable, '1');
  scope.defer(() => port.writeText(enable, '0'));
  return null;
}

function requireUnusedBars({ address, driver, hasVfioDriver }: PciDevice): void {
  if (driver === null || hasVfioDriver) return;
  throw new WcvmmError(
    'E_DEVICE_DRIVER',
    `${address} is bound to the driver ${driver}, which uses its BARs; expected no driver, or vfio-pci or a variant of it. Unbind it first if nothing needs the device.`,
  );
}

function openMemorySource(port: Port, scope: Scope, size: bigint): BarSource {
  const fd = port.memfd('wcvmm-bar', size);
  scope.defer(() => port.close(fd));
  const slice = ({ offset, length }: Window): Slice => ({ fd, offset, length });
  return {
    kind: 'memory',
    pci: null,
    regions: [{ bar: 2, kind: 'memory', size, mmappable: [{ offset: 0n, length: size }] }],
    device: null,
    slice,
    map: (window, placement) => mapPlaced(port, scope, slice(window), placement),
  };
}
