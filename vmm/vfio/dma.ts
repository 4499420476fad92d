/**
 * Guest RAM in a device's IO address space. The IOVAs that can be mapped depend on the devices that are attached and each
 * attach can narrow them, so they are read again after every one (IOMMU_IOAS_IOVA_RANGES' own documentation says so).
 */
import { WcvmmError } from '../../common/errors.ts';
import { ioasAlloc, ioasCopy, ioasIovaRanges, ioasMap } from '../sys/iommufd.ts';
import type { IovaRange } from '../sys/iommufd.ts';
import { containerInfo, containerMapDma } from '../sys/vfio.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import type { HostMapping } from '../memory/mapping.ts';
import { holesIn } from '../memory/windows.ts';
import { containerIovaRanges } from './capabilities.ts';

/** An IO address space; `kind` says whose. */
export type DmaSpace =
  | { readonly kind: 'ioas'; readonly iommufd: number; readonly ioas: number }
  | { readonly kind: 'container'; readonly container: number };

/** What stands between a device and memory; nothing does in VFIO's no-IOMMU mode, and then it must not reach memory at all. */
export type Dma = DmaSpace | { readonly kind: 'none' };

export interface DmaRam {
  readonly space: DmaSpace;
  /** The guest-physical address too. */
  readonly iova: bigint;
  readonly length: bigint;
}

export function newIoas(port: Port, iommufd: number): DmaSpace & { kind: 'ioas' } {
  return { kind: 'ioas', iommufd, ioas: ioasAlloc(port, iommufd) };
}

/** Null where the kernel does not say (a container without the capability): then any IOVA may be tried. */
export function allowedRanges(port: Port, space: DmaSpace): readonly IovaRange[] | null {
  return space.kind === 'ioas'
    ? ioasIovaRanges(port, space.iommufd, space.ioas)
    : containerIovaRanges(containerInfo(port, space.container));
}

/** What of [start, start + length) no range allows; empty where all of it can be mapped. */
export function reservedIn(ranges: readonly IovaRange[], start: bigint, length: bigint): readonly IovaRange[] {
  const allowed = ranges.map((range) => ({ offset: range.start, length: range.last - range.start + 1n }));
  return holesIn({ start, end: start + length }, allowed).map((hole) => ({ start: hole.start, last: hole.end - 1n }));
}

/** A guest gives its devices guest-physical addresses and knows no others, so that RAM anywhere else would be of no use. */
function requireIdentity(port: Port, space: DmaSpace, gpa: bigint, length: bigint): void {
  const reserved = reservedIn(allowedRanges(port, space) ?? [{ start: gpa, last: gpa + length - 1n }], gpa, length);
  if (reserved.length === 0) return;
  throw new WcvmmError(
    'E_IOVA',
    `guest RAM (${hexRange({ start: gpa, last: gpa + length - 1n })}) must have the same addresses for DMA as for the guest, and the IOMMU reserves ` +
      `${reserved.map(hexRange).join(', ')} of them. Use less guest RAM, or another device.`,
  );
}

function hexRange({ start, last }: IovaRange): string {
  return `0x${start.toString(16)}-0x${last.toString(16)}`;
}

/**
 * Maps guest RAM for DMA at its guest-physical address.
 *
 * Throws WcvmmError: E_IOVA (the IOMMU reserves a part of these addresses), E_PERMISSION (too much to be pinned).
 */
export function mapRam(port: Port, space: DmaSpace, ram: HostMapping, gpa: bigint): DmaRam {
  requireIdentity(port, space, gpa, ram.length);
  const mapping = { hva: ram.address, iova: gpa, length: ram.length };
  try {
    if (space.kind === 'ioas') ioasMap(port, space.iommufd, space.ioas, mapping);
    else containerMapDma(port, space.container, mapping);
  } catch (error) {
    if (!isErrno(error, 'ENOMEM')) throw error;
    throw new WcvmmError(
      'E_PERMISSION',
      `${ram.length} bytes of guest RAM could not be pinned for DMA (ENOMEM). Raise RLIMIT_MEMLOCK ("ulimit -l"), give CAP_IPC_LOCK, or use less guest RAM.`,
      { cause: error },
    );
  }
  return { space, iova: gpa, length: ram.length };
}

/** Gives a second address space of the same iommufd the pages that the first has pinned; they stay pinned once. Throws E_IOVA. */
export function shareRam(
  port: Port,
  from: DmaRam & { space: { kind: 'ioas' } },
  to: DmaSpace & { kind: 'ioas' },
): DmaRam {
  const { iova, length } = from;
  requireIdentity(port, to, iova, length);
  ioasCopy(port, to.iommufd, { from: from.space.ioas, to: to.ioas, fromIova: iova, toIova: iova, length });
  return { space: to, iova, length };
}
