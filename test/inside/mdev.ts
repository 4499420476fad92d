/**
 * Runs inside arm64's testbed: two devices that the kernel's samples make up, memory without hardware. mdpy maps all
 * of its region at once, mbochs a page when it is touched. Neither has cookies.
 */
import { bindIommufd, getMmapCookie, getRegionInfo, MMAP_ATTRIBUTE } from '../../vmm/sys/vfio.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { errnoOf, tell } from './report.ts';

const READ_WRITE = 2;
const SHARED = 1;
const PRIVATE = 2;
const PAGE = 4096n;
const iommufd = port.open('/dev/iommu', READ_WRITE);

function open(sample: string, type: string, uuid: string): number {
  port.writeText(`/sys/class/mdev_bus/${sample}/mdev_supported_types/${sample}-${type}/create`, uuid);
  const node = port.list(`/sys/bus/mdev/devices/${uuid}/vfio-dev`)[0] ?? 'none';
  const device = port.open(`/dev/vfio/devices/${node}`, READ_WRITE);
  bindIommufd(port, device, iommufd);
  return device;
}

function look(sample: string, device: number): void {
  const { offset, size } = getRegionInfo(port, device, 0);
  const map = (at: bigint, length: bigint, flags = SHARED): bigint =>
    port.mmap({ length, protection: 3, flags, fd: device, offset: at });
  const words = (at: bigint, length: bigint): Uint32Array =>
    new Uint32Array(port.view(map(at, length), Number(length)));

  const whole = words(offset, size);
  whole[0] = 0x1234;
  whole[whole.length - 1] = 0x5678;
  tell(
    `${sample}: a slice is the same memory`,
    words(offset + size - PAGE, PAGE).at(-1) === 0x5678 && words(offset, PAGE)[0] === 0x1234,
  );
  tell(
    `${sample}: one page too many`,
    errnoOf(() => map(offset, size + PAGE)),
  );
  tell(
    `${sample}: over the end`,
    errnoOf(() => map(offset + size - PAGE, 2n * PAGE)),
  );
  tell(
    `${sample}: in front of it`,
    errnoOf(() => map(offset - PAGE, PAGE)),
  );
  tell(
    `${sample}: private`,
    errnoOf(() => map(offset, PAGE, PRIVATE)),
  );
  tell(
    `${sample}: cookie`,
    errnoOf(() => getMmapCookie(port, device, 0, MMAP_ATTRIBUTE.default)),
  );
}

look('mdpy', open('mdpy', 'vga', 'd3dd4f0a-6a4b-4c6e-9d7c-000000000001'));
look('mbochs', open('mbochs', 'small', 'd3dd4f0a-6a4b-4c6e-9d7c-000000000002'));
