/**
 * The capability chain of VFIO_DEVICE_GET_REGION_INFO and VFIO_IOMMU_GET_INFO (include/uapi/linux/vfio.h): each starts with
 * struct vfio_info_cap_header, whose `next` counts from the start of the reply. Every offset is checked: a chain that runs
 * backwards or out of the reply ends there, so decoding always ends.
 */
import { structure } from '../../common/structure.ts';
import type { IovaRange } from '../sys/iommufd.ts';
import { REGION_CAP, readContainerInfo } from '../sys/vfio.ts';

const HEADER = 8;

const readHeader = structure<{ id: number; version: number; next: number }>((parser) =>
  parser.uint16('id').uint16('version').uint32('next'),
);

export interface Capability {
  readonly id: number;
  readonly version: number;
  /** From just behind the header to the end of the reply: a capability does not say its own length. */
  readonly body: Uint8Array;
}

export function decodeCapabilities(reply: Uint8Array, first: number): readonly Capability[] {
  const found: Capability[] = [];
  let at = first;
  let behind = 0;
  while (at > behind && at + HEADER <= reply.byteLength) {
    const { id, version, next } = readHeader(reply.subarray(at));
    found.push({ id, version, body: reply.subarray(at + HEADER) });
    behind = at;
    at = next;
  }
  return found;
}

export interface Area {
  readonly offset: bigint;
  readonly length: bigint;
}

/** A count, a reserved word, and so many pairs. */
const LIST_HEADER = 8;
const PAIR = 16;

const readCount = structure<{ count: number }>((parser) => parser.uint32('count'));
const readPairs = structure<{ pairs: readonly { first: bigint; second: bigint }[] }>((parser, start) =>
  parser.array('pairs', { type: start().uint64('first').uint64('second'), readUntil: 'eof' }),
);

/** As many pairs as the list counts, and never more than the reply holds. */
function pairsOf(body: Uint8Array): readonly { first: bigint; second: bigint }[] {
  if (body.byteLength < LIST_HEADER) return [];
  const room = Math.floor((body.byteLength - LIST_HEADER) / PAIR);
  const count = Math.min(readCount(body).count, room);
  return readPairs(body.subarray(LIST_HEADER, LIST_HEADER + count * PAIR)).pairs;
}

/** Null where the region has no such capability: then all of it may be mapped. */
export function sparseAreas(capabilities: readonly Capability[]): readonly Area[] | null {
  const sparse = capabilities.find(({ id }) => id === REGION_CAP.sparseMmap);
  if (sparse === undefined) return null;
  return pairsOf(sparse.body).map(({ first, second }) => ({ offset: first, length: second }));
}

const readAttributes = structure<{ attributes: number }>((parser) => parser.uint32('attributes'));

/** Bit n set: attribute n (enum vfio_mmap_attr) can be had for this region. Null on a kernel without mmap cookies. */
export function mmapAttributes(capabilities: readonly Capability[]): number | null {
  const capability = capabilities.find(({ id }) => id === REGION_CAP.mmapAttributes);
  return capability === undefined || capability.body.byteLength < 4 ? null : readAttributes(capability.body).attributes;
}

const TYPE1_CAP_IOVA_RANGE = 1;

/** VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE; null where the container does not say. */
export function containerIovaRanges(reply: Uint8Array): readonly IovaRange[] | null {
  const { capabilityOffset } = readContainerInfo(reply);
  if (capabilityOffset === null) return null;
  const range = decodeCapabilities(reply, capabilityOffset).find(({ id }) => id === TYPE1_CAP_IOVA_RANGE);
  if (range === undefined || range.body.byteLength < LIST_HEADER) return null;
  return pairsOf(range.body).map(({ first, second }) => ({ start: first, last: second }));
}
