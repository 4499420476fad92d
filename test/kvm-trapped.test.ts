import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { trappedDevice } from '../vmm/devices/trapped.ts';
import type { Device } from '../vmm/bus/device.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const GIB = 2 ** 30;

/** A window on memory of which the port gives views; `views` are those that were asked for. */
function windowOn(
  length: bigint,
  address: bigint,
  memory: ArrayBuffer,
): { device: Device; exits: Int32Array; views: [bigint, number][] } {
  const views: [bigint, number][] = [];
  const port: Port = {
    ...stubPort({}).port,
    view(at, size) {
      views.push([at, size]);
      return memory;
    },
  };
  const exits = new SharedArrayBuffer(4);
  return { device: trappedDevice(port, { length, address, exits }), exits: new Int32Array(exits), views };
}

/** So small that accesses overlap. */
const SMALL = 32;
const accessOf = fc
  .record({ offset: fc.nat(SMALL - 1), length: fc.integer({ min: 1, max: 8 }), isWrite: fc.boolean() })
  .filter(({ offset, length }) => offset + length <= SMALL);

describe('a trapped window', () => {
  test('behaves as the bytes of the window, and touches nothing else', () => {
    const valued = fc.tuple(accessOf, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
    fc.assert(
      fc.property(fc.array(valued, { maxLength: 40 }), (accesses) => {
        const real = new ArrayBuffer(SMALL);
        const model = new Uint8Array(SMALL);
        const { device, exits } = windowOn(BigInt(SMALL), 0x1000n, real);
        for (const [{ offset, length, isWrite }, value] of accesses) {
          const data = new DataView(new ArrayBuffer(8));
          if (isWrite) data.setBigUint64(0, value, true);
          expect((isWrite ? device.write : device.read)?.(offset, length, data)).toBe(null);
          const bytes = new Uint8Array(data.buffer).subarray(0, length);
          if (isWrite) model.set(bytes, offset);
          expect([...bytes]).toEqual([...model.subarray(offset, offset + length)]);
        }
        expect(new Uint8Array(real)).toEqual(model);
        expect(exits[0]).toBe(accesses.length);
      }),
    );
  });

  test('larger than a view is looked at in parts of 1 GiB, once each', () => {
    const { device, views } = windowOn(5n * BigInt(GIB) + 4096n, BigInt(GIB), new ArrayBuffer(4096));
    const data = new DataView(new ArrayBuffer(8));
    for (const offset of [0, 8, 5 * GIB, 5 * GIB + 8, 3 * GIB]) expect(device.read?.(offset, 8, data)).toBe(null);
    expect(views).toEqual([
      [BigInt(GIB), GIB],
      [6n * BigInt(GIB), 4096],
      [4n * BigInt(GIB), GIB],
    ]);
  });

  test('counts for all vCPUs together', () => {
    const exits = new SharedArrayBuffer(4);
    const port = { ...stubPort({}).port, view: () => new ArrayBuffer(4096) };
    const vcpus = [0, 1, 2].map(() => trappedDevice(port, { length: 4096n, address: 0n, exits }));
    for (const device of vcpus) device.read?.(0, 4, new DataView(new ArrayBuffer(8)));
    expect(new Int32Array(exits)[0]).toBe(3);
  });
});
