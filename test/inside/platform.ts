/**
 * Runs inside arm64's testbed: a device that is not on PCI, passed through by vfio-amba without an IOMMU. It is the
 * machine's real-time clock: one page of registers, the last of which tell what it is.
 */
import { libcPort as port } from '../../vmm/sys/libc.ts';
import {
  MMAP_ATTRIBUTE,
  REGION_FLAG,
  VFIO_NOIOMMU_IOMMU,
  getMmapCookie,
  getRegionInfo,
  groupDeviceFd,
  groupSetContainer,
  setIommu,
} from '../../vmm/sys/vfio.ts';
import { decodeCapabilities, mmapAttributes } from '../../vmm/vfio/capabilities.ts';
import { errnoOf, tell } from './report.ts';

const DEVICE = '9010000.pl031';
const BUS = '/sys/bus/amba';
const PAGE = 4096n;
const READ_WRITE = 2;

port.writeText('/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'Y');
port.writeText(`${BUS}/devices/${DEVICE}/driver_override`, 'vfio-amba');
port.writeText(`${BUS}/drivers_probe`, DEVICE);

const group = port.list('/dev/vfio').find((name) => name.startsWith('noiommu-'));
const container = port.open('/dev/vfio/vfio', READ_WRITE);
const groupFile = port.open(`/dev/vfio/${group ?? 'none'}`, READ_WRITE);
groupSetContainer(port, groupFile, container);
setIommu(port, container, VFIO_NOIOMMU_IOMMU);
const device = groupDeviceFd(port, groupFile, DEVICE);

const cookie = (region: number, attribute: number): { offset: bigint; size: bigint } =>
  getMmapCookie(port, device, region, attribute);
const map = (offset: bigint, length: bigint, flags = 1): bigint =>
  port.mmap({ length, protection: 3, flags, fd: device, offset });
/** The PrimeCell identification of what is mapped there: the part number, one byte a register. */
function part(offset: bigint): number {
  const words = new Uint32Array(port.view(map(offset, PAGE), Number(PAGE)));
  return ((words[0xfe0 / 4] ?? 0) & 0xff) | (((words[0xfe4 / 4] ?? 0) & 0xf) << 8);
}

const info = getRegionInfo(port, device, 0);
const strict = cookie(0, MMAP_ATTRIBUTE.device);
tell('can be mapped', (info.flags & REGION_FLAG.mmap) !== 0);
tell('attributes', mmapAttributes(decodeCapabilities(info.reply, info.capabilityOffset)) ?? 'absent');
tell('legacy offset', part(info.offset));
tell('default', part(cookie(0, MMAP_ATTRIBUTE.default).offset));
tell('device', part(strict.offset));
tell('asking twice gives the same offset', cookie(0, MMAP_ATTRIBUTE.device).offset === strict.offset);
tell(
  'wc',
  errnoOf(() => cookie(0, MMAP_ATTRIBUTE.wc)),
);
tell(
  'cacheable',
  errnoOf(() => cookie(0, MMAP_ATTRIBUTE.cacheable)),
);
tell(
  'unknown region',
  errnoOf(() => cookie(1, MMAP_ATTRIBUTE.device)),
);
tell(
  'over the end',
  errnoOf(() => map(strict.offset, 2n * PAGE)),
);
tell(
  "nobody's offset",
  errnoOf(() => map(1n << 40n, PAGE)),
);
tell(
  'private',
  errnoOf(() => map(strict.offset, PAGE, 2)),
);
