/**
 * The capability chain of VFIO_DEVICE_GET_REGION_INFO and VFIO_IOMMU_GET_INFO: struct vfio_info_cap_header {id u16,
 * version u16, next u32}, offsets from the start of the reply. Every offset is checked: a chain that runs backwards or
 * out of the reply ends there, so decoding always ends.
 */
import { REGION_CAP } from '../sys/vfio.ts';
import type { IovaRange } from '../sys/iommufd.ts';

const HEADER = 8;

export interface Capability {
  readonly id: number;
  readonly version: number;
  /** From just behind the header to the end of the reply: a capability does not say its own length. */
  readonly body: DataView;
}

export function decodeCapabilities(reply: Uint8Array, first: number): readonly Capability[] {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength);
  const found: Capability[] = [];
  let at = first;
  let behind = 0;
  while (at > behind && at + HEADER <= reply.byteLength) {
    const body = new DataView(reply.buffer, reply.byteOffset + at + HEADER, reply.byteLength - at - HEADER);
    found.push({ id: view.getUint16(at, true), version: view.getUint16(at + 2, true), body });
    behind = at;
    at = view.getUint32(at + 4, true);
  }
  return found;
}

export interface Area {
  readonly offset: bigint;
  readonly length: bigint;
}

/** Pairs of u64 that start at `from`; at most `claimed` of them and never more than the reply holds. */
function pairs(body: DataView, from: number, claimed: number): [bigint, bigint][] {
  const room = Math.max(0, Math.floor((body.byteLength - from) / 16));
  return Array.from({ length: Math.min(claimed, room) }, (_, index) => [
    body.getBigUint64(from + index * 16, true),
    body.getBigUint64(from + index * 16 + 8, true),
  ]);
}

/** Null where the region has no such capability: then all of it may be mapped. */
export function sparseAreas(capabilities: readonly Capability[]): readonly Area[] | null {
  const sparse = capabilities.find(({ id }) => id === REGION_CAP.sparseMmap);
  if (sparse === undefined) return null;
  if (sparse.body.byteLength < 8) return [];
  return pairs(sparse.body, 8, sparse.body.getUint32(0, true)).map(([offset, length]) => ({ offset, length }));
}

/** Bit n set: attribute n (enum vfio_mmap_attr) can be had for this region. Null on a kernel without mmap cookies. */
export function mmapAttributes(capabilities: readonly Capability[]): number | null {
  const attributes = capabilities.find(({ id }) => id === REGION_CAP.mmapAttributes);
  return attributes === undefined || attributes.body.byteLength < 4 ? null : attributes.body.getUint32(0, true);
}

const TYPE1_CAP_IOVA_RANGE = 1;

/** VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE; null where the container does not tell. */
export function containerIovaRanges(reply: Uint8Array): readonly IovaRange[] | null {
  const flags = new DataView(reply.buffer, reply.byteOffset).getUint32(4, true);
  if ((flags & 2) === 0 || reply.byteLength < 24) return null;
  const first = new DataView(reply.buffer, reply.byteOffset).getUint32(16, true);
  const range = decodeCapabilities(reply, first).find(({ id }) => id === TYPE1_CAP_IOVA_RANGE);
  if (range === undefined || range.body.byteLength < 8) return null;
  return pairs(range.body, 8, range.body.getUint32(0, true)).map(([start, last]) => ({ start, last }));
}
