/** Runs inside a testbed: what the kernel's mmap cookies promise, asked of the real thing with live mappings. */
import { Scope } from '../../common/scope.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { MMAP_ATTRIBUTE, VFIO_PCI, getMmapCookie, getRegionInfo, resetDevice } from '../../vmm/sys/vfio.ts';
import { decodeCapabilities, mmapAttributes } from '../../vmm/vfio/capabilities.ts';
import { hasMmapCookies } from '../../vmm/vfio/cookie.ts';
import { enableMemory, findDevice, openVfioDevice } from '../../vmm/vfio/device.ts';
import type { VfioDevice } from '../../vmm/vfio/device.ts';
import { mapPlaced } from '../../vmm/memory/mapping.ts';
import type { HostMapping } from '../../vmm/memory/mapping.ts';
import { errnoOf, tell } from './report.ts';

const BAR = 2;
const PAGE = 4096n;
/** Mappings are put one page behind a block, so that they are made of pages, which can be counted. */
const BLOCK = 1n << 21n;
const scope = new Scope();
const iommu = process.argv[2] === 'container' ? 'container' : 'iommufd';
const device = openVfioDevice(port, scope, findDevice(port, '0000:01:00.0'), { iommu });
const cookie = (region: number, attribute: number): { offset: bigint; size: bigint } =>
  getMmapCookie(port, device.fd, region, attribute);
const map = (offset: bigint, length: bigint): HostMapping =>
  mapPlaced(port, scope, { fd: device.fd, offset, length }, { gpa: 0n, length, alignment: 2n * BLOCK, phase: PAGE });

const mapBriefly = ({ fd }: VfioDevice, offset: bigint): void =>
  port.munmap(port.mmap({ length: PAGE, protection: 3, flags: 1, fd, offset }), PAGE);

const memory = port.memfd('copy', PAGE);
scope.defer(() => port.close(memory));
/** Reads a mapping by way of the kernel, which answers EFAULT where a load of our own would end this process with SIGBUS. */
const touch = ({ address }: HostMapping): string =>
  errnoOf(() => port.pwrite(memory, new Uint8Array(port.view(address, 8)), 0n));

const PAGES = 256;
/** Page faults that loading one word of every page of these mappings takes: none while they are mapped, one each after a zap. */
function faultsOf(mappings: readonly HostMapping[]): 'none' | 'every page' | number {
  const loads = mappings.map(({ address, length }) => new Uint32Array(port.view(address, Number(length))));
  const before = process.resourceUsage().minorPageFault;
  let sum = 0;
  for (const words of loads) for (let page = 0; page < PAGES; page++) sum += words[page * 1024] ?? 0;
  const faults = process.resourceUsage().minorPageFault - before;
  // Node itself faults now and then; a mapping that was zapped faults hundreds of times.
  if (Number.isFinite(sum) && faults >= PAGES * mappings.length) return 'every page';
  return faults < PAGES / 4 ? 'none' : faults;
}

function disableMemory({ fd }: VfioDevice): void {
  const { offset } = getRegionInfo(port, fd, VFIO_PCI.configRegion);
  port.pwrite(fd, new Uint8Array([0, 0]), offset + 4n);
}

tell('probe', hasMmapCookies(port, device.fd));
const wc = cookie(BAR, MMAP_ATTRIBUTE.wc);
const strict = cookie(BAR, MMAP_ATTRIBUTE.device);
const info = getRegionInfo(port, device.fd, BAR);
tell(
  'capability lists default, device, wc',
  mmapAttributes(decodeCapabilities(info.reply, info.capabilityOffset)) ?? 'absent',
);
tell('asking twice gives the same offset', cookie(BAR, MMAP_ATTRIBUTE.wc).offset === wc.offset);
tell('two attributes have two offsets', wc.offset !== strict.offset);
tell('neither is the legacy offset', wc.offset !== info.offset && strict.offset !== info.offset);
tell('a cookie covers its region', wc.size === info.size && strict.size === info.size);
tell(
  'unknown attribute',
  errnoOf(() => cookie(BAR, 99)),
);
tell(
  'cacheable',
  errnoOf(() => cookie(BAR, MMAP_ATTRIBUTE.cacheable)),
);
tell(
  'unknown region',
  errnoOf(() => cookie(4000, MMAP_ATTRIBUTE.wc)),
);
tell(
  'absent BAR',
  errnoOf(() => cookie(5, MMAP_ATTRIBUTE.wc)),
);
tell(
  'region with no mmap',
  errnoOf(() => cookie(VFIO_PCI.configRegion, MMAP_ATTRIBUTE.wc)),
);
tell(
  "slice over its object's end",
  errnoOf(() => map(wc.offset + wc.size - PAGE, 2n * PAGE)),
);
tell(
  "nobody's offset",
  errnoOf(() => map(1n << 51n, PAGE)),
);
tell(
  'legacy offset',
  errnoOf(() => mapBriefly(device, info.offset)),
);

const LENGTH = BigInt(PAGES) * PAGE;
// x86 gives no page two types at once, so there the three lie side by side.
const [AT_STRICT, AT_LEGACY] = process.arch === 'x64' ? [LENGTH, 2n * LENGTH] : [PAGE, 0n];
const views = [
  map(wc.offset, LENGTH),
  map(strict.offset + AT_STRICT, LENGTH),
  map(info.offset + AT_LEGACY, LENGTH),
] as const;
const [relaxed, tight, legacy] = views.map(
  ({ address, length }) => new Uint32Array(port.view(address, Number(length))),
);
if (relaxed === undefined || tight === undefined || legacy === undefined) throw new Error('three mappings');
relaxed[1024] = 0x1234;
tight[1] = 0x5678;
legacy[2048] = 0x9abc;
/** The same place by read(2), which goes through the driver's own mapping. */
const wordAt = (offset: bigint): number => {
  const bytes = new Uint8Array(4);
  port.pread(device.fd, bytes, info.offset + offset);
  return new DataView(bytes.buffer).getUint32(0, true);
};
tell(
  'all mappings live, each at its place',
  wordAt(PAGE) === 0x1234 && wordAt(AT_STRICT + 4n) === 0x5678 && wordAt(AT_LEGACY + 2n * PAGE) === 0x9abc,
);

tell('touch while memory is enabled', views.map(touch).join(' '));
disableMemory(device);
tell('touch while memory is disabled', views.map(touch).join(' '));
enableMemory(port, device);
tell('touch after memory was enabled again', views.map(touch).join(' '));

faultsOf(views);
tell('faults of live mappings', faultsOf(views));
tell(
  'reset',
  errnoOf(() => resetDevice(port, device.fd)),
);
tell('faults after reset', faultsOf(views));
tell('touch after reset', views.map(touch).join(' '));
tell('data after reset', relaxed[1024] === 0x1234 && tight[1] === 0x5678 && legacy[2048] === 0x9abc);
tell('a cookie survives reset unchanged', cookie(BAR, MMAP_ATTRIBUTE.wc).offset === wc.offset);

scope.close();
const again = new Scope();
const reopened = openVfioDevice(port, again, findDevice(port, '0000:01:00.0'), { iommu });
tell(
  "another file's offset",
  errnoOf(() => mapBriefly(reopened, wc.offset)),
);
again.close();
