import type { Attribute } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { MapRequest } from './map.ts';
import { formatSize } from '../../common/size.ts';

/** One PCI BAR as the kernel describes it. All numbers are bytes. */
export interface Region {
  bar: number;
  kind: 'memory' | 'io' | 'absent';
  size: bigint;
  /** What of the BAR may be mapped; the gaps are what the kernel keeps, such as an MSI-X table. */
  mmappable: readonly { offset: bigint; length: bigint }[];
}

/** One mapping to ask for: page-aligned bytes of one BAR, all with one attribute. */
export interface Window {
  bar: number;
  offset: bigint;
  length: bigint;
  attribute: Attribute;
}

interface Range {
  start: bigint;
  end: bigint;
}

interface Placed extends Range {
  request: MapRequest;
}

/**
 * The windows that `requests` ask for, sorted by BAR and offset; each request becomes exactly one window, never
 * split and never merged, so that what the report shows is what the user wrote.
 *
 * @param pageSize the host's page size in bytes, a power of two
 * @throws WcvmmError E_MAP_REGION (I/O or absent BAR, or bytes that cannot be mapped), E_MAP_RANGE (outside of
 *   the BAR), E_MAP_ALIGNMENT (not whole pages), E_MAP_OVERLAP
 */
export function planWindows(requests: readonly MapRequest[], regions: readonly Region[], pageSize: bigint): Window[] {
  const placed = requests.map((request) => place(request, regions, pageSize));
  placed.sort((a, b) => a.request.bar - b.request.bar || (a.start < b.start ? -1 : Number(a.start > b.start)));
  for (const [index, { request, end }] of placed.entries()) {
    const next = placed[index + 1];
    if (!next || next.request.bar !== request.bar || next.start >= end) continue;
    const both = { start: next.start, end: next.end < end ? next.end : end };
    throw new WcvmmError(
      'E_MAP_OVERLAP',
      `the maps ${request.text} and ${next.request.text} both claim bytes ${formatRange(both)} of BAR ${request.bar} ` +
        `(${formatSize(both.end - both.start)}): let one end where the other starts`,
    );
  }
  return placed.map(({ request, start, end }) => ({
    bar: request.bar,
    offset: start,
    length: end - start,
    attribute: request.attribute,
  }));
}

function place(request: MapRequest, regions: readonly Region[], pageSize: bigint): Placed {
  const region = regions.find(({ bar }) => bar === request.bar);
  if (!region || region.kind !== 'memory' || region.size === 0n) {
    const what =
      region?.kind === 'io'
        ? 'is an I/O BAR, which has ports and no memory to map'
        : 'is absent: the device does not implement it';
    throw new WcvmmError('E_MAP_REGION', `BAR ${request.bar} of ${request.text} ${what}; ${mappableBars(regions)}`);
  }
  if (region.mmappable.length === 0) {
    throw new WcvmmError(
      'E_MAP_REGION',
      `BAR ${request.bar} of ${request.text} cannot be mapped: the kernel only allows reading and writing it by system calls; ${mappableBars(regions)}`,
    );
  }
  const { start, end } = { start: request.start, end: request.end ?? region.size };
  if (start >= region.size || end > region.size) {
    const nearest = start < region.size ? `; did you mean ${spell(request, { start, end: region.size })}?` : '';
    throw new WcvmmError(
      'E_MAP_RANGE',
      `the map ${request.text} leaves BAR ${request.bar}, which has ${formatSize(region.size)} (bytes ${formatRange({ start: 0n, end: region.size })})${nearest}`,
    );
  }
  checkAlignment(request, { start, end }, region, pageSize);
  checkMappable(request, { start, end }, region, pageSize);
  return { request, start, end };
}

function checkAlignment(request: MapRequest, { start, end }: Range, region: Region, pageSize: bigint): void {
  if (start % pageSize === 0n && end % pageSize === 0n) return;
  const outer = { start: roundDown(start, pageSize), end: roundUp(end, pageSize) };
  const hint =
    outer.end <= region.size
      ? `did you mean ${spell(request, outer)}?`
      : `BAR ${region.bar} has ${formatSize(region.size)}, which is not a whole number of pages`;
  throw new WcvmmError(
    'E_MAP_ALIGNMENT',
    `the map ${request.text} does not start and end on pages of ${formatSize(pageSize)}, and a page has one attribute: ${hint}`,
  );
}

function checkMappable(request: MapRequest, wanted: Range, region: Region, pageSize: bigint): void {
  const holes = holesIn(wanted, region.mmappable);
  if (holes.length === 0) return;
  // Whole pages only, so that following the advice does not lead to the next refusal.
  const usable = holesIn(
    wanted,
    holes.map(({ start, end }) => ({
      offset: roundDown(start, pageSize),
      length: roundUp(end, pageSize) - roundDown(start, pageSize),
    })),
  );
  const advice =
    usable.length > 0
      ? `leave them out: ${usable.map((part) => spell(request, part)).join(' and ')}`
      : 'choose bytes outside of them';
  throw new WcvmmError(
    'E_MAP_REGION',
    `bytes ${holes.map(formatRange).join(', ')} of BAR ${region.bar}, in ${request.text}, cannot be mapped: the kernel keeps them, ` +
      `as it does with an MSI-X table; ${advice}`,
  );
}

/** What of `wanted` is in none of `parts`, as ascending ranges; `parts` may be unsorted, touch and overlap. */
export function holesIn(wanted: Range, parts: readonly { offset: bigint; length: bigint }[]): Range[] {
  const holes: Range[] = [];
  let covered = wanted.start;
  for (const { offset, length } of parts.toSorted((a, b) => (a.offset < b.offset ? -1 : Number(a.offset > b.offset)))) {
    if (offset >= wanted.end) break;
    if (offset > covered) holes.push({ start: covered, end: offset });
    if (offset + length > covered) covered = offset + length;
  }
  if (covered < wanted.end) holes.push({ start: covered, end: wanted.end });
  return holes;
}

function mappableBars(regions: readonly Region[]): string {
  const usable = regions.filter(({ kind, mmappable }) => kind === 'memory' && mmappable.length > 0);
  if (usable.length === 0) return 'this device has no BAR that can be mapped';
  return `what can be mapped: ${usable.map(({ bar, size }) => `bar${bar} (${formatSize(size)})`).join(', ')}`;
}

function spell(request: MapRequest, { start, end }: Range): string {
  return `bar${request.bar}:${formatSize(start)}-${formatSize(end)}=${request.attribute}`;
}

function formatRange({ start, end }: Range): string {
  return `0x${start.toString(16)}-0x${(end - 1n).toString(16)}`;
}

function roundDown(value: bigint, to: bigint): bigint {
  return value - (value % to);
}

function roundUp(value: bigint, to: bigint): bigint {
  return roundDown(value + to - 1n, to);
}
