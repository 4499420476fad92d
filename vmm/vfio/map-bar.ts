/** One call for a VMM that wants a part of a BAR with an attribute. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import type { Attribute } from '../../memattr/index.ts';
import type { Mapping } from '../memory/mapping.ts';
import { placeWindows } from '../memory/place.ts';
import { planWindows } from '../memory/windows.ts';
import { libcPort, pageSize } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import { findDevice } from './device.ts';
import type { IommuPath } from './device.ts';
import { mapWindow } from './map-window.ts';
import { openSource } from './source.ts';
import type { BarSource } from './source.ts';

export interface OpenDeviceOptions {
  /** The device is closed with it, and every mapping of its BARs unmapped before. */
  readonly scope: Scope;
  /** `cookie`: any attribute, on a kernel with mmap cookies; `legacy`: `default` only; `sysfs`: without VFIO. */
  readonly source?: 'cookie' | 'legacy' | 'sysfs';
  readonly iommu?: IommuPath | 'auto';
  readonly port?: Port;
}

/**
 * Opens a PCI device for its BARs to be mapped.
 *
 * Throws E_USAGE, E_DEVICE_ABSENT, E_DEVICE_DRIVER, E_NO_IOMMU, E_PERMISSION, E_COOKIE_UNSUPPORTED.
 *
 * @param address domain:bus:device.function, as in 0000:01:00.0
 */
export function openDevice(
  address: string,
  { scope, source = 'cookie', iommu = 'auto', port = libcPort }: OpenDeviceOptions,
): BarSource {
  const pci = findDevice(port, address);
  if (source === 'sysfs') return openSource(port, scope, { kind: source, pci });
  return openSource(port, scope, { kind: source, pci, iommu, attributes: [] });
}

/** Bytes [offset, offset + length) of a BAR; by default all of it. */
export interface BarRange {
  readonly bar: number;
  readonly offset?: bigint;
  readonly length?: bigint;
  readonly attribute: Attribute;
}

/**
 * Maps a part of a BAR into this process, shared, readable and writable. A range of the same size as its alignment lies so
 * that a stage-2 block can cover it. It is unmapped when it is closed, or else with the scope that the device was opened in.
 *
 * Throws E_MAP_REGION (no such BAR, or one that cannot be mapped), E_MAP_RANGE, E_MAP_ALIGNMENT (no whole pages),
 * E_COOKIE_REFUSED, E_MAP_CONFLICT (the page is mapped with another memory type).
 */
export function mapBar(device: BarSource, range: BarRange): Mapping {
  const { bar, offset = 0n, attribute } = range;
  const size = device.regions.find((region) => region.bar === bar)?.size ?? 0n;
  const end = range.length === undefined ? size : offset + range.length;
  const page = BigInt(pageSize());
  const text = `bar${bar}:${offset}-${end}`;
  if (size > 0n && (offset < 0n || end <= offset)) {
    throw new WcvmmError('E_MAP_RANGE', `${text} is no range of bytes; expected at least one page, from offset 0 on.`);
  }
  const [window] = planWindows([{ bar, start: offset, end, attribute, text }], device.regions, page);
  const [placement] = placeWindows(window === undefined ? [] : [window], { base: 0n, alignment: page });
  if (window === undefined || placement === undefined) throw new RangeError('one range is one window');
  return mapWindow(device, window, placement);
}
