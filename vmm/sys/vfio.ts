/**
 * VFIO's ABI (include/uapi/linux/vfio.h, and the mmap cookie feature that kernel-patches/ adds): numbers, layouts and
 * the raw calls; no policy. Offsets and sizes are bytes.
 */
import { WcvmmError } from '../../common/errors.ts';
import { structure } from '../../common/structure.ts';
import type { Port } from './port.ts';

const VFIO_GET_API_VERSION = 0x3b64;
const VFIO_CHECK_EXTENSION = 0x3b65;
const VFIO_SET_IOMMU = 0x3b66;
const VFIO_GROUP_GET_STATUS = 0x3b67;
const VFIO_GROUP_SET_CONTAINER = 0x3b68;
const VFIO_GROUP_GET_DEVICE_FD = 0x3b6a;
const VFIO_DEVICE_GET_REGION_INFO = 0x3b6c;
const VFIO_DEVICE_RESET = 0x3b6f;
const VFIO_IOMMU_GET_INFO = 0x3b70;
const VFIO_IOMMU_MAP_DMA = 0x3b71;
const VFIO_IOMMU_UNMAP_DMA = 0x3b72;
const VFIO_DEVICE_FEATURE = 0x3b75;
const VFIO_DEVICE_BIND_IOMMUFD = 0x3b76;
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = 0x3b77;

export const VFIO_API_VERSION = 0;
export const VFIO_TYPE1V2_IOMMU = 3;
export const VFIO_NOIOMMU_IOMMU = 8;
export const VFIO_GROUP_FLAGS_VIABLE = 1;

export const VFIO_PCI = { barCount: 6, romRegion: 6, configRegion: 7 } as const;

export const REGION_FLAG = { read: 1, write: 2, mmap: 4, caps: 8 } as const;
export const REGION_CAP = { sparseMmap: 1, msixMappable: 3, mmapAttributes: 6 } as const;

const FEATURE_GET = 1 << 16;
const FEATURE_PROBE = 1 << 18;
export const FEATURE_MMAP_COOKIE = 14;
const FEATURE_DMA_BUF = 11;
const OPEN_READ_WRITE_CLOEXEC = 0o2000002;

/** enum vfio_mmap_attr */
export const MMAP_ATTRIBUTE = { default: 0, device: 1, wc: 2, cacheable: 3 } as const;

const REGION_INFO_SIZE = 32;
/** A reply with its capabilities has a few hundred bytes. */
const REPLY_MAX = 65536;

/** How many bytes a reply says that it needs: its first word, argsz, which grows where capabilities have no room. */
function wantedSize(reply: Uint8Array): number {
  const wanted = new DataView(reply.buffer).getUint32(0, true);
  if (wanted <= REPLY_MAX) return wanted;
  throw new WcvmmError(
    'E_SYSCALL',
    `a reply of VFIO wants ${wanted} bytes, and without its capabilities it would be misread; expected ${REPLY_MAX} at most. Please report this with the kernel's version.`,
  );
}

export interface RegionInfo {
  readonly flags: number;
  readonly size: bigint;
  readonly offset: bigint;
  /** The whole reply, capability chain included, for `decodeCapabilities`. */
  readonly reply: Uint8Array;
  readonly capabilityOffset: number;
}

/** struct vfio_region_info */
const readRegionInfo = structure<Omit<RegionInfo, 'reply'>>((parser) =>
  parser.skip(4).uint32('flags').skip(4).uint32('capabilityOffset').uint64('size').uint64('offset'),
);

function regionRequest(index: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint32(8, index, true);
  return bytes;
}

/** Asks twice where the first answer says that capabilities need more room. Throws E_SYSCALL for a reply without measure. */
export function getRegionInfo(port: Port, device: number, index: number): RegionInfo {
  let reply = regionRequest(index, REGION_INFO_SIZE);
  port.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, reply);
  const wanted = wantedSize(reply);
  if (wanted > REGION_INFO_SIZE) {
    reply = regionRequest(index, wanted);
    port.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, reply);
  }
  return { ...readRegionInfo(reply), reply };
}

export interface MmapCookieReply {
  readonly offset: bigint;
  readonly size: bigint;
}

function featureRequest(flags: number, payload: number): Uint8Array {
  const bytes = new Uint8Array(8 + payload);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.byteLength, true);
  view.setUint32(4, flags, true);
  return bytes;
}

/** VFIO_DEVICE_FEATURE with PROBE: throws ENOTTY where the kernel has no such feature. */
export function probeMmapCookie(port: Port, device: number): void {
  port.ioctl(device, VFIO_DEVICE_FEATURE, featureRequest(FEATURE_PROBE | FEATURE_GET | FEATURE_MMAP_COOKIE, 24));
}

export function getMmapCookie(port: Port, device: number, region: number, attribute: number): MmapCookieReply {
  const request = featureRequest(FEATURE_GET | FEATURE_MMAP_COOKIE, 24);
  const view = new DataView(request.buffer);
  view.setUint32(8, region, true);
  view.setUint32(12, attribute, true);
  port.ioctl(device, VFIO_DEVICE_FEATURE, request);
  return { offset: view.getBigUint64(16, true), size: view.getBigUint64(24, true) };
}

/** A DMA-buf of [0, length) of a region, as a file descriptor: what IOMMU_IOAS_MAP_FILE takes. Its mappings end when the device is reset. */
export function exportDmaBuf(port: Port, device: number, region: number, length: bigint): number {
  const request = featureRequest(FEATURE_GET | FEATURE_DMA_BUF, 32);
  const view = new DataView(request.buffer);
  view.setUint32(8, region, true);
  view.setUint32(12, OPEN_READ_WRITE_CLOEXEC, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, length, true);
  return port.ioctl(device, VFIO_DEVICE_FEATURE, request);
}

export function resetDevice(port: Port, device: number): void {
  port.ioctl(device, VFIO_DEVICE_RESET, 0);
}

/** Returns the device's id in the iommufd. */
export function bindIommufd(port: Port, device: number, iommufd: number): number {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16, true);
  view.setInt32(8, iommufd, true);
  port.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, bytes);
  return view.getUint32(12, true);
}

export function attachPageTable(port: Port, device: number, pageTable: number): void {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 12, true);
  view.setUint32(8, pageTable, true);
  port.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, bytes);
}

export function containerVersion(port: Port, container: number): number {
  return port.ioctl(container, VFIO_GET_API_VERSION, 0);
}

export function containerHas(port: Port, container: number, extension: number): boolean {
  return port.ioctl(container, VFIO_CHECK_EXTENSION, extension) > 0;
}

export function setIommu(port: Port, container: number, type: number): void {
  port.ioctl(container, VFIO_SET_IOMMU, type);
}

export function groupFlags(port: Port, group: number): number {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 8, true);
  port.ioctl(group, VFIO_GROUP_GET_STATUS, bytes);
  return view.getUint32(4, true);
}

export function groupSetContainer(port: Port, group: number, container: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, container, true);
  port.ioctl(group, VFIO_GROUP_SET_CONTAINER, bytes);
}

/** `address` is the device's name on its bus, as in 0000:01:00.0. */
export function groupDeviceFd(port: Port, group: number, address: string): number {
  return port.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, new TextEncoder().encode(`${address}\0`));
}

export interface DmaMapping {
  readonly hva: bigint;
  readonly iova: bigint;
  readonly length: bigint;
}

const DMA_READ_WRITE = 3;

export function containerMapDma(port: Port, container: number, mapping: DmaMapping): void {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 32, true);
  view.setUint32(4, DMA_READ_WRITE, true);
  view.setBigUint64(8, mapping.hva, true);
  view.setBigUint64(16, mapping.iova, true);
  view.setBigUint64(24, mapping.length, true);
  port.ioctl(container, VFIO_IOMMU_MAP_DMA, bytes);
}

const IOMMU_INFO_CAPS = 2;

/** struct vfio_iommu_type1_info */
const readTypeOneInfo = structure<{ flags: number; capabilityOffset: number }>((parser) =>
  parser.skip(4).uint32('flags').skip(8).uint32('capabilityOffset'),
);

/** Bytes of struct vfio_iommu_type1_info up to what is read of it. */
const TYPE1_INFO = 20;

/** Null where a container's reply has no capabilities. */
export function readContainerInfo(reply: Uint8Array): { readonly capabilityOffset: number | null } {
  if (reply.byteLength < TYPE1_INFO) return { capabilityOffset: null };
  const { flags, capabilityOffset } = readTypeOneInfo(reply);
  return { capabilityOffset: (flags & IOMMU_INFO_CAPS) === 0 ? null : capabilityOffset };
}

/** Of a range that was mapped as a whole. */
export function containerUnmapDma(port: Port, container: number, iova: bigint, length: bigint): void {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 24, true);
  view.setBigUint64(8, iova, true);
  view.setBigUint64(16, length, true);
  port.ioctl(container, VFIO_IOMMU_UNMAP_DMA, bytes);
}

/** struct vfio_iommu_type1_info with its capability chain, raw; 24 bytes or more. */
export function containerInfo(port: Port, container: number): Uint8Array {
  const request = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(0, length, true);
    port.ioctl(container, VFIO_IOMMU_GET_INFO, bytes);
    return bytes;
  };
  const first = request(24);
  const wanted = wantedSize(first);
  return wanted > 24 ? request(wanted) : first;
}
