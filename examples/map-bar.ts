/**
 * One BAR mapped twice, for a VMM of one's own: its first page strict, for registers, the second write-combining.
 * Needs a kernel with mmap cookies and a device that vfio-pci has: node map-bar.js 0000:01:00.0 2
 */
import {
  Scope,
  WcvmmError,
  findDevice,
  hasMmapCookies,
  libcPort,
  mapPlaced,
  openVfioDevice,
  pageSize,
  placeWindows,
  requestCookie,
} from 'wcvmm';
import type { HostMapping } from 'wcvmm';

const [address = '0000:01:00.0', bar = '2'] = process.argv.slice(2);
const page = BigInt(pageSize());
const scope = new Scope();

function mapPage(device: number, attribute: 'device' | 'wc', offset: bigint): HostMapping {
  const cookie = requestCookie(libcPort, device, Number(bar), attribute);
  const [placement] = placeWindows([{ offset, length: page }], { base: 0n, alignment: page });
  if (placement === undefined) throw new Error('one window has one placement');
  return mapPlaced(libcPort, scope, { fd: device, offset: cookie.offset + offset, length: page }, placement);
}

try {
  const { fd } = openVfioDevice(libcPort, scope, findDevice(libcPort, address));
  if (!hasMmapCookies(libcPort, fd)) throw new WcvmmError('E_COOKIE_UNSUPPORTED', 'this kernel has no mmap cookies.');
  const registers = mapPage(fd, 'device', 0n);
  const buffer = mapPage(fd, 'wc', page);
  // A typed array of the access's own width: V8 may read a DataView byte by byte.
  const words = new Uint32Array(libcPort.view(buffer.address, Number(page)));
  words[0] = 0x5ca1ab1e;
  console.log(`device: ${registers.length} bytes; wc: ${buffer.length} bytes, first word 0x${words[0].toString(16)}`);
} finally {
  // Unmaps and closes, in reverse order.
  scope.close();
}
