/** iommufd's ABI (include/uapi/linux/iommufd.h): numbers, layouts and the raw calls. IOVAs and lengths are bytes. */
import { withAddress } from './pointer.ts';
import { isErrno } from './port.ts';
import type { Port } from './port.ts';

const IOMMU_IOAS_ALLOC = 0x3b81;
const IOMMU_IOAS_COPY = 0x3b83;
const IOMMU_IOAS_IOVA_RANGES = 0x3b84;
const IOMMU_IOAS_MAP = 0x3b85;
const IOMMU_IOAS_UNMAP = 0x3b86;
const IOMMU_IOAS_MAP_FILE = 0x3b8f;

const MAP_FIXED_READ_WRITE = 1 | 2 | 4;

/** Inclusive at both ends, as the kernel says it. */
export interface IovaRange {
  readonly start: bigint;
  readonly last: bigint;
}

/** How many ranges a reply may claim before it is not believed. */
const MAX_RANGES = 4096;

export function ioasAlloc(port: Port, iommufd: number): number {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 12, true);
  port.ioctl(iommufd, IOMMU_IOAS_ALLOC, bytes);
  return view.getUint32(8, true);
}

function askRanges(
  port: Port,
  iommufd: number,
  ioas: number,
  room: number,
): { count: number; ranges: IovaRange[] | null } {
  const array = new Uint8Array(Math.max(room, 1) * 16);
  const request = new Uint8Array(32);
  const view = new DataView(request.buffer);
  view.setUint32(0, 32, true);
  view.setUint32(4, ioas, true);
  view.setUint32(8, room, true);
  try {
    withAddress(port, array, (address) => {
      view.setBigUint64(16, address, true);
      port.ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, request);
    });
  } catch (error) {
    if (isErrno(error, 'EMSGSIZE')) return { count: view.getUint32(8, true), ranges: null };
    throw error;
  }
  const count = Math.min(view.getUint32(8, true), room);
  const entries = new DataView(array.buffer);
  const ranges = Array.from({ length: count }, (_, index) => ({
    start: entries.getBigUint64(index * 16, true),
    last: entries.getBigUint64(index * 16 + 8, true),
  }));
  return { count, ranges };
}

/** The IOVAs that this address space can map now. Attaching a device can narrow them: ask again after each attach. */
export function ioasIovaRanges(port: Port, iommufd: number, ioas: number): readonly IovaRange[] {
  const first = askRanges(port, iommufd, ioas, 16);
  if (first.ranges !== null) return first.ranges;
  return askRanges(port, iommufd, ioas, Math.min(first.count, MAX_RANGES)).ranges ?? [];
}

export interface IoasMapping {
  readonly hva: bigint;
  readonly iova: bigint;
  readonly length: bigint;
}

export function ioasMap(port: Port, iommufd: number, ioas: number, mapping: IoasMapping): void {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 40, true);
  view.setUint32(4, MAP_FIXED_READ_WRITE, true);
  view.setUint32(8, ioas, true);
  view.setBigUint64(16, mapping.hva, true);
  view.setBigUint64(24, mapping.length, true);
  view.setBigUint64(32, mapping.iova, true);
  port.ioctl(iommufd, IOMMU_IOAS_MAP, bytes);
}

/** Maps all of a DMA-buf of VFIO's: a device's BAR for another device. */
export function ioasMapFile(
  port: Port,
  iommufd: number,
  ioas: number,
  { fd, iova, length }: { readonly fd: number; readonly iova: bigint; readonly length: bigint },
): void {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 40, true);
  view.setUint32(4, MAP_FIXED_READ_WRITE, true);
  view.setUint32(8, ioas, true);
  view.setInt32(12, fd, true);
  view.setBigUint64(24, length, true);
  view.setBigUint64(32, iova, true);
  port.ioctl(iommufd, IOMMU_IOAS_MAP_FILE, bytes);
}

/** Of a range that was mapped as a whole. */
export function ioasUnmap(port: Port, iommufd: number, ioas: number, iova: bigint, length: bigint): void {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 24, true);
  view.setUint32(4, ioas, true);
  view.setBigUint64(8, iova, true);
  view.setBigUint64(16, length, true);
  port.ioctl(iommufd, IOMMU_IOAS_UNMAP, bytes);
}

export interface IoasCopy {
  readonly from: number;
  readonly to: number;
  readonly fromIova: bigint;
  readonly toIova: bigint;
  readonly length: bigint;
}

/** Maps in `to` what `from` maps, and shares its pinned pages: no second pin, no second charge to RLIMIT_MEMLOCK. */
export function ioasCopy(port: Port, iommufd: number, copy: IoasCopy): void {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 40, true);
  view.setUint32(4, MAP_FIXED_READ_WRITE, true);
  view.setUint32(8, copy.to, true);
  view.setUint32(12, copy.from, true);
  view.setBigUint64(16, copy.length, true);
  view.setBigUint64(24, copy.toIova, true);
  view.setBigUint64(32, copy.fromIova, true);
  port.ioctl(iommufd, IOMMU_IOAS_COPY, bytes);
}
