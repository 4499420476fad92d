import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TrappedWindows } from '../vmm/devices/trapped.ts';
import type { TrappedWindow } from '../vmm/kvm/vcpu-protocol.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const GIB = 1n << 30n;

/** Windows on memory of which the port gives views; `views` are the lengths that were asked for. */
function windowsOn(
  windows: readonly TrappedWindow[],
  memory: ReadonlyMap<bigint, ArrayBuffer>,
): { trapped: TrappedWindows; views: [bigint, number][] } {
  const views: [bigint, number][] = [];
  const port: Port = {
    ...stubPort({}).port,
    view(address, length) {
      views.push([address, length]);
      return memory.get(address) ?? new ArrayBuffer(Math.min(length, 4096));
    },
  };
  return { trapped: new TrappedWindows(port, windows), views };
}

/** So small that accesses overlap. */
const SMALL = 32;
const accessOf = fc.record({
  offset: fc.integer({ min: -4, max: SMALL + 4 }),
  length: fc.integer({ min: 0, max: 9 }),
  isWrite: fc.boolean(),
  value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
});

describe('trapped windows', () => {
  test('behave as the bytes of the window, and touch nothing else', () => {
    fc.assert(
      fc.property(fc.array(accessOf, { maxLength: 40 }), (accesses) => {
        const real = new ArrayBuffer(SMALL);
        const model = new Uint8Array(SMALL);
        const { trapped } = windowsOn(
          [{ gpa: 0x1_0000_0000n, length: BigInt(SMALL), address: 0x1000n }],
          new Map([[0x1000n, real]]),
        );
        let served = 0;
        for (const { offset, length, isWrite, value } of accesses) {
          const data = new DataView(new ArrayBuffer(8));
          if (isWrite) data.setBigUint64(0, value, true);
          const starts = offset >= 0 && offset < SMALL;
          const fits = starts && length >= 1 && length <= 8 && offset + length <= SMALL;
          expect(trapped.serve({ address: 0x1_0000_0000n + BigInt(offset), length, isWrite, data })).toBe(
            fits ? 'served' : starts ? 'leaves' : 'elsewhere',
          );
          const bytes = new Uint8Array(data.buffer).subarray(0, length);
          if (!fits) continue;
          served += 1;
          if (isWrite) model.set(bytes, offset);
          expect([...bytes]).toEqual([...model.subarray(offset, offset + length)]);
        }
        expect(new Uint8Array(real)).toEqual(model);
        expect(trapped.exits).toEqual([served]);
      }),
    );
  });

  test('are told apart, and each counts its own', () => {
    const { trapped } = windowsOn(
      [
        { gpa: 0x1_0000_0000n, length: 4096n, address: 0x1000n },
        { gpa: 0x1_0020_0000n, length: 4096n, address: 0x3000n },
      ],
      new Map([
        [0x1000n, new Uint8Array(4096).fill(1).buffer],
        [0x3000n, new Uint8Array(4096).fill(2).buffer],
      ]),
    );
    const data = new DataView(new ArrayBuffer(8));
    for (let times = 0; times < 3; times++) trapped.serve({ address: 0x1_0020_0000n, length: 1, isWrite: false, data });
    expect(data.getUint8(0)).toBe(2);
    expect(trapped.exits).toEqual([0, 3]);
    expect([0x1_0020_0fffn, 0x1_0020_1000n, 0x1_0000_1000n].map((address) => trapped.has(address))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('larger than a view are looked at in parts of 1 GiB, once each', () => {
    const { trapped, views } = windowsOn([{ gpa: 0n, length: 5n * GIB + 4096n, address: GIB }], new Map());
    const data = new DataView(new ArrayBuffer(8));
    for (const address of [0n, 8n, 5n * GIB, 5n * GIB + 8n, 3n * GIB])
      expect(trapped.serve({ address, length: 8, isWrite: false, data })).toBe('served');
    expect(views).toEqual([
      [GIB, 2 ** 30],
      [6n * GIB, 4096],
      [4n * GIB, 2 ** 30],
    ]);
  });
});
