/**
 * One BAR mapped twice, for a VMM of one's own: its first page strict, for registers, the second write-combining.
 * Needs a kernel with mmap cookies and a device that vfio-pci has: node map-bar.js 0000:01:00.0 2
 */
import { Scope, mapBar, openDevice } from 'wcvmm';

const [address = '0000:01:00.0', number = '2'] = process.argv.slice(2);
const [bar, length] = [Number(number), 4096n];
const scope = new Scope();
try {
  const device = openDevice(address, { scope });
  const registers = mapBar(device, { bar, length, attribute: 'device' });
  const buffer = mapBar(device, { bar, offset: length, length, attribute: 'wc' });
  // A typed array of the access's own width: V8 may read a DataView byte by byte.
  const words = new Uint32Array(buffer.view());
  words[0] = 0x5ca1ab1e;
  console.log(`device: ${registers.length} bytes; wc: ${buffer.length} bytes, first word 0x${words[0].toString(16)}`);
} finally {
  // Unmaps and closes, in reverse order; a view that is still there then has no bytes.
  scope.close();
}
