/**
 * A mapping whose memory goes away under it, as a device's does that is switched off: a file that is cut off. Argument: `caught` or `as-ever`.
 * Prints what a trapped access sees, as JSON.
 */
import { ftruncateSync, writeSync } from 'node:fs';
import { Scope } from '../../common/scope.ts';
import { WcvmmError } from '../../common/errors.ts';
import { trappedDevice } from '../../vmm/devices/trapped.ts';
import { expectAnswers } from '../../vmm/memory/answers.ts';
import { mapPlaced } from '../../vmm/memory/mapping.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import type { Port } from '../../vmm/sys/port.ts';

const LENGTH = 0x2_0000n;
const { catchBusErrors: _caught, busErrors: _counted, ...asEver } = libcPort;
const port: Port = process.argv[2] === 'caught' ? libcPort : asEver;

const scope = new Scope();
const fd = port.memfd('device', LENGTH);
const mapping = mapPlaced(
  port,
  scope,
  { fd, offset: 0n, length: LENGTH },
  { gpa: 0n, length: LENGTH, alignment: 0x1_0000n, phase: 0n },
);
const device = trappedDevice(port, { length: LENGTH, address: mapping.address, exits: new SharedArrayBuffer(4) });
const data = new DataView(new ArrayBuffer(8));
const at = 0x1_0008;

function answers(): string {
  const requireAnswers = expectAnswers(port);
  new Uint32Array(mapping.view(0n, 4n))[0] = 1;
  try {
    requireAnswers();
    return 'answered';
  } catch (error) {
    return error instanceof WcvmmError ? error.code : String(error);
  }
}

data.setUint32(0, 0x1234, true);
const before = [device.write?.(at, 4, data), device.read?.(at, 4, data), data.getUint32(0, true), answers()];
ftruncateSync(fd, 0);
const lost = [device.read?.(at, 4, data), device.write?.(at - 0x1_0000, 8, data)];
ftruncateSync(fd, 0);
const after = [expectAnswers(port), answers()].slice(1);
scope.close();
writeSync(1, `${JSON.stringify({ before, lost, after })}\n`);
