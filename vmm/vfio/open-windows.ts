/** From what the user chose to windows that a guest can be given: source → plan → place → map, in this order and no other. */
import type { Attribute, Source } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { GuestWindow } from '../memory/guest-window.ts';
import { formatSize, parseMap, placeWindows, planWindows } from '../memory/index.ts';
import type { MapRequest, Region, Window } from '../memory/index.ts';
import type { Scope } from '../../common/scope.ts';
import type { Port } from '../sys/port.ts';
import type { PciBar, PciDevice } from '../sys/pci.ts';
import { findDevice } from './device.ts';
import type { IommuPath } from './device.ts';
import { mapWindow } from './map-window.ts';
import { openSource, requireSource } from './source.ts';
import type { BarSource, SourceRequest } from './source.ts';

export interface WindowChoice {
  readonly source: Source;
  /** A PCI address; null only with the source memory. */
  readonly device: string | null;
  readonly iommu: IommuPath | 'auto';
  /** The texts of --map; empty = a default for the device's largest BAR. */
  readonly maps: readonly string[];
  /** Trap every access to the windows of the attribute `device`, so that no guest can relax them. */
  readonly enforce: boolean;
}

/** The guest-physical bytes [windowBase, gpaLimit), where a machine has nothing but windows. */
export interface WindowRoom {
  readonly windowBase: bigint;
  readonly gpaLimit: bigint;
}

export interface OpenWindow extends Window, GuestWindow {}

export interface OpenWindows {
  readonly source: BarSource;
  readonly windows: readonly OpenWindow[];
}

const MEMORY_BAR = 4n << 20n;
/** Two windows never share a 2 MiB block of guest-physical space. */
const WINDOW_ALIGNMENT = 2n << 20n;

function sourceRequest(port: Port, choice: WindowChoice, requests: readonly MapRequest[]): SourceRequest {
  const { source, device, iommu } = choice;
  if (source === 'memory') return { kind: 'memory', size: MEMORY_BAR };
  if (device === null)
    throw new WcvmmError(
      'E_USAGE',
      `--source ${source} maps a device's BAR; expected --device with its PCI address, as in --device 0000:01:00.0.`,
    );
  const pci = findDevice(port, device);
  if (source === 'sysfs') return { kind: source, pci };
  // A cookie is not needed to map a BAR as default.
  const attributes =
    requests.length > 0
      ? requests.map(({ attribute }) => attribute)
      : SIDE_BY_SIDE[source].filter((attribute) => attribute !== 'default');
  return { kind: source, pci, iommu, attributes };
}

export interface Target {
  /** Null where memory stands in for a device. */
  readonly pci: PciDevice | null;
  readonly bars: readonly number[];
}

/**
 * What `choice` is about, from sysfs alone: nothing is opened, for opening a device resets it. Without --map it is the
 * largest BAR, as far as sysfs shows. Throws as `openWindows` where it is known already that no window can be mapped.
 */
export function targetOf(port: Port, choice: WindowChoice): Target {
  const requests = choice.maps.map(parseMap);
  const request = sourceRequest(port, choice, requests);
  requireSource(request);
  if (request.kind === 'memory') return { pci: null, bars: [] };
  const { pci } = request;
  const memory = pci.bars.filter(({ kind }) => kind === 'memory');
  const largest = memory.reduce<PciBar | null>(
    (best, bar) => (best === null || bar.size > best.size ? bar : best),
    null,
  );
  const wanted = requests.length > 0 ? requests.map(({ bar }) => bar) : largest === null ? [] : [largest.bar];
  return { pci, bars: wanted.filter((bar) => memory.some((one) => one.bar === bar)) };
}

/** The BAR that is meant where none is named: the largest that can be mapped. */
function largestBar(regions: readonly Region[]): Region {
  const usable = regions.filter(({ kind, mmappable }) => kind === 'memory' && mmappable.length > 0);
  const largest = usable.reduce<Region | null>(
    (best, region) => (best === null || region.size > best.size ? region : best),
    null,
  );
  if (largest === null) throw new WcvmmError('E_MAP_REGION', 'the device has no memory BAR that can be mapped.');
  return largest;
}

/** All that a source can give and that differs, in the order in which a BAR is divided; the last gets what is left. */
const SIDE_BY_SIDE: Readonly<Record<Source, readonly Attribute[]>> = {
  cookie: ['device', 'wc', 'default'],
  legacy: ['default'],
  sysfs: ['device', 'wc'],
  memory: ['device', 'wc', 'default'],
};

/**
 * All that the source can give, side by side in one BAR, in power-of-two parts so that large BARs get large blocks.
 * A source that gives one attribute gets the whole BAR.
 */
export function defaultMaps(source: Source, regions: readonly Region[], pageSize: bigint): readonly MapRequest[] {
  const { bar, size, mmappable } = largestBar(regions);
  const end = mmappable[0]?.offset === 0n ? mmappable[0].length : 0n;
  const attributes = SIDE_BY_SIDE[source];
  const part = size >> BigInt(Math.ceil(Math.log2(attributes.length)));
  const request = (start: bigint, to: bigint, attribute: Attribute): MapRequest => ({
    bar,
    start,
    end: to,
    attribute,
    text: `bar${bar}:${start}-${to}=${attribute}`,
  });
  if (end < size || part % pageSize !== 0n || part === 0n) {
    throw new WcvmmError(
      'E_MAP_RANGE',
      `BAR ${bar} (${formatSize(size)}) cannot be divided into windows of whole pages that may all be mapped; say what to map, as in --map bar${bar}:0-${formatSize(pageSize)}=wc.`,
    );
  }
  return attributes.map((attribute, index) => {
    const start = BigInt(index) * part;
    return request(start, index + 1 < attributes.length ? start + part : size, attribute);
  });
}

/** Everything that is opened and mapped ends with `scope`. */
export function openWindows(
  port: Port,
  scope: Scope,
  room: WindowRoom,
  choice: WindowChoice,
  pageSize: bigint,
): OpenWindows {
  const requests = choice.maps.map(parseMap);
  const source = openSource(port, scope, sourceRequest(port, choice, requests));
  const wanted = requests.length > 0 ? requests : defaultMaps(choice.source, source.regions, pageSize);
  const planned = planWindows(wanted, source.regions, pageSize);
  if (choice.enforce && !planned.some(({ attribute }) => attribute === 'device')) {
    throw new WcvmmError(
      'E_USAGE',
      `--enforce traps device windows, and ${requests.length > 0 ? 'no --map asks for one; expected one, as in --map bar2:0-64K=device' : `the source ${choice.source} gives none; expected another --source`}. Or leave out --enforce.`,
    );
  }
  const placements = placeWindows(planned, {
    base: room.windowBase,
    alignment: WINDOW_ALIGNMENT,
    limit: room.gpaLimit,
  });
  const windows = planned.flatMap((window, index): OpenWindow[] => {
    const placement = placements[index];
    if (placement === undefined) return [];
    return [
      {
        ...window,
        gpa: placement.gpa,
        mapping: mapWindow(source, window, placement),
        access: choice.enforce && window.attribute === 'device' ? 'trapped' : 'mapped',
      },
    ];
  });
  return { source, windows };
}
