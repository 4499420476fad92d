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
import { containerIovaRanges } from './capabilities.ts';

/** An IO address space; `kind` says whose. */
export type DmaSpace =
  | { readonly kind: 'ioas'; readonly iommufd: number; readonly ioas: number }
  | { readonly kind: 'container'; readonly container: number };

/** What stands between a device and memory; nothing does in VFIO's no-IOMMU mode, and then it must not reach memory at all. */
export type Dma = DmaSpace | { readonly kind: 'none' };

export interface DmaRam {
  readonly space: DmaSpace;
  readonly iova: bigint;
  readonly length: bigint;
}

export function newIoas(port: Port, iommufd: number): DmaSpace & { kind: 'ioas' } {
  return { kind: 'ioas', iommufd, ioas: ioasAlloc(port, iommufd) };
}

/** Null where the kernel does not tell (a container without the capability): then any IOVA may be tried. */
export function allowedRanges(port: Port, space: DmaSpace): readonly IovaRange[] | null {
  return space.kind === 'ioas'
    ? ioasIovaRanges(port, space.iommufd, space.ioas)
    : containerIovaRanges(containerInfo(port, space.container));
}

/**
 * Where `length` bytes can lie: at `wanted` (a device then uses guest-physical addresses as they are) or, where that is
 * not allowed, at the lowest aligned place that is. Null where there is none.
 */
export function placeIova(
  ranges: readonly IovaRange[],
  wanted: bigint,
  length: bigint,
  alignment: bigint,
): bigint | null {
  const fits = (start: bigint): boolean =>
    ranges.some((range) => range.start <= start && start + length - 1n <= range.last);
  if (fits(wanted)) return wanted;
  const candidates = ranges.map(({ start }) => ((start + alignment - 1n) / alignment) * alignment).filter(fits);
  return candidates.reduce<bigint | null>((lowest, at) => (lowest === null || at < lowest ? at : lowest), null);
}

const IOVA_ALIGNMENT = 1n << 21n;

function place(port: Port, space: DmaSpace, wanted: bigint, length: bigint): bigint {
  const ranges = allowedRanges(port, space);
  const iova = ranges === null ? wanted : placeIova(ranges, wanted, length, IOVA_ALIGNMENT);
  if (iova !== null) return iova;
  const shown = (ranges ?? []).map(({ start, last }) => `0x${start.toString(16)}-0x${last.toString(16)}`).join(', ');
  throw new WcvmmError(
    'E_IOVA',
    `guest RAM of ${length} bytes fits nowhere in the IO virtual addresses that this device's IOMMU allows (${shown || 'none'}). Use less guest RAM, or attach fewer devices.`,
  );
}

/** Maps guest RAM for DMA, at its guest-physical address if the IOMMU allows. */
export function mapRam(port: Port, space: DmaSpace, ram: HostMapping, gpa: bigint): DmaRam {
  const iova = place(port, space, gpa, ram.length);
  const mapping = { hva: ram.address, iova, length: ram.length };
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
  return { space, iova, length: ram.length };
}

/** Gives a second address space of the same iommufd the pages that the first has pinned; they stay pinned once. */
export function shareRam(
  port: Port,
  from: DmaRam & { space: { kind: 'ioas' } },
  to: DmaSpace & { kind: 'ioas' },
  gpa: bigint,
): DmaRam {
  const iova = place(port, to, gpa, from.length);
  ioasCopy(port, to.iommufd, {
    from: from.space.ioas,
    to: to.ioas,
    fromIova: from.iova,
    toIova: iova,
    length: from.length,
  });
  return { space: to, iova, length: from.length };
}
