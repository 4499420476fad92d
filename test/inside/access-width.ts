/**
 * Runs inside a testbed: loads and stores registers of the NVMe controller as a trapped window's accesses are made, from the
 * first, which V8 interprets, to those that it has optimised. The emulator's trace tells what the device saw of them.
 */
import { trappedDevice } from '../../vmm/devices/trapped.ts';
import { Scope } from '../../common/scope.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { getRegionInfo } from '../../vmm/sys/vfio.ts';
import { findDevice, openVfioDevice } from '../../vmm/vfio/device.ts';
import { mapPlaced } from '../../vmm/memory/mapping.ts';
import { tell } from './report.ts';

const rounds = Number(process.argv[2]);
const PAGE = 4096n;
const scope = new Scope();
const { fd } = openVfioDevice(port, scope, findDevice(port, '0000:02:00.0'));
const { offset } = getRegionInfo(port, fd, 0);
const { address } = mapPlaced(
  port,
  scope,
  { fd, offset, length: PAGE },
  { gpa: 0n, length: PAGE, alignment: PAGE, phase: 0n },
);
const exits = new SharedArrayBuffer(4);
const trapped = trappedDevice(port, { length: PAGE, address, exits });
const data = new DataView(new ArrayBuffer(8));

/** CAP and VS, which are read-only; ASQ and AQA, which a disabled controller only keeps. */
const LOADS = [
  [0x00, 8],
  [0x08, 4],
  [0x02, 2],
] as const;
const STORES = [
  [0x28, 8],
  [0x24, 4],
  [0x26, 2],
] as const;

// The kernel has used this controller itself before VFIO got it: what counts in the trace comes after this mark.
port.pwrite(fd, new Uint8Array([0x6d, 0x6d, 0x63, 0x77]), offset + 0x24n);

for (const [at, length] of LOADS) for (let round = 0; round < rounds; round++) trapped.read?.(at, length, data);
for (const [at, length] of STORES) {
  for (let round = 0; round < rounds; round++) {
    data.setBigUint64(0, 0x0123_4567_89ab_cdefn, true);
    trapped.write?.(at, length, data);
  }
}
tell('accesses', new Int32Array(exits)[0] ?? 0);
scope.close();
