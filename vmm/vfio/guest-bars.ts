/** A device's BARs as a guest gets them: what is mapped where, with which attribute, and which parts become memslots. */
import type { Scope } from '../../common/scope.ts';
import { blockAlignment } from '../memory/place.ts';
import type { MapRequest } from '../memory/map.ts';
import { mapInto, reserveAligned } from '../memory/mapping.ts';
import { holesIn, planWindows } from '../memory/windows.ts';
import type { Region, Window } from '../memory/windows.ts';
import type { Port } from '../sys/port.ts';
import { explainRefusal } from './map-window.ts';
import type { BarSource } from './source.ts';

/** Bytes [offset, offset + length) of a BAR. */
export interface Part {
  readonly offset: bigint;
  readonly length: bigint;
}

export interface MappedBar {
  /** Host-virtual address of the BAR's first byte; only `windows` are mapped. */
  readonly hva: bigint;
  readonly windows: readonly Window[];
}

/** The windows that the user asks for, and `default` for what of the BARs is left. Throws as planWindows does. */
export function wholeBarWindows(
  requests: readonly MapRequest[],
  regions: readonly Region[],
  pageSize: bigint,
): readonly Window[] {
  const asked = planWindows(requests, regions, pageSize);
  const rest = regions
    .filter(({ kind }) => kind === 'memory')
    .flatMap(({ bar, mmappable }) => {
      const taken = asked.filter((window) => window.bar === bar);
      return mmappable.flatMap(({ offset, length }) => {
        const free = holesIn({ start: offset, end: offset + length }, taken);
        return free.flatMap(({ start, end }): Window[] => {
          const [first, last] = [roundUp(start, pageSize), roundDown(end, pageSize)];
          return last > first ? [{ bar, offset: first, length: last - first, attribute: 'default' }] : [];
        });
      });
    });
  return [...asked, ...rest];
}

/** Maps the windows of one BAR, each at its place in address space that is reserved for all of it. */
export function mapBarWindows(
  port: Port,
  scope: Scope,
  source: BarSource,
  { size }: Region,
  windows: readonly Window[],
  pageSize: bigint,
): MappedBar {
  const block = blockAlignment(size);
  const hva = reserveAligned(port, scope, roundUp(size, pageSize), block < pageSize ? pageSize : block);
  for (const window of windows) {
    explainRefusal(source, window, () => mapInto(port, hva + window.offset, source.slice(window)));
  }
  return { hva, windows };
}

/** `window` less the pages on which something of `emulated` is. */
export function slotParts(window: Part, emulated: readonly Part[], pageSize: bigint): readonly Part[] {
  const pages = emulated.map(({ offset, length }) => {
    const first = roundDown(offset, pageSize);
    return { offset: first, length: roundUp(offset + length, pageSize) - first };
  });
  const parts = holesIn({ start: window.offset, end: window.offset + window.length }, pages);
  return parts.map(({ start, end }) => ({ offset: start, length: end - start }));
}

function roundDown(value: bigint, to: bigint): bigint {
  return value - (value % to);
}

function roundUp(value: bigint, to: bigint): bigint {
  return roundDown(value + to - 1n, to);
}
