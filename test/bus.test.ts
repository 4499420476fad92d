import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Bus } from '../vmm/bus/bus.ts';
import type { Device } from '../vmm/bus/device.ts';

const ROOM = 64;

/** Devices that do not overlap, by their sizes and the gaps before them; each answers a load with its own number. */
const devices = fc.array(fc.record({ gap: fc.nat(3), size: fc.integer({ min: 1, max: 9 }) }), { maxLength: 8 });
const accesses = fc.array(fc.tuple(fc.nat(ROOM), fc.integer({ min: 0, max: 9 })), { maxLength: 30 });

describe('a bus', () => {
  test('finds the device that a map of every byte names, and lets nothing cross its end', () => {
    fc.assert(
      fc.property(devices, accesses, fc.boolean(), (list, asked, reversed) => {
        const owner: (number | null)[] = [];
        const calls: [number, number][] = [];
        const attached = list.map(({ gap, size }, number) => {
          for (let byte = 0; byte < gap; byte += 1) owner.push(null);
          const base = owner.length;
          for (let byte = 0; byte < size; byte += 1) owner.push(number);
          const device: Device = { read: (offset) => (calls.push([number, base + offset]), null) };
          return { space: 'mmio' as const, base, size, device };
        });
        const bus = new Bus('mmio', reversed ? attached.toReversed() : attached);
        for (const [address, length] of asked) {
          calls.length = 0;
          const first = owner[address] ?? null;
          const inside = first !== null && length >= 1 && length <= 8 && owner[address + length - 1] === first;
          const exit = bus.access(address, length, false, new DataView(new ArrayBuffer(8)));
          expect(bus.has(address)).toBe(first !== null);
          expect(exit?.kind ?? 'served').toBe(inside ? 'served' : first === null ? 'unmapped' : 'crosses-end');
          expect(calls).toEqual(inside ? [[first, address]] : []);
        }
      }),
    );
  });

  test.each([
    [
      'overlap',
      [
        { base: 0, size: 8 },
        { base: 7, size: 8 },
      ],
      /overlap/,
    ],
    ['are empty', [{ base: 0, size: 0 }], /0 bytes/],
    ['end beyond what a number can hold', [{ base: 2 ** 53 - 4, size: 8 }], /below 2\^53/],
    ['begin below 0', [{ base: -8, size: 8 }], /below 2\^53/],
  ])('refuses devices that %s', (_name, places, why) => {
    expect(
      () =>
        new Bus(
          'mmio',
          places.map((place) => ({ ...place, space: 'mmio', device: {} })),
        ),
    ).toThrow(why);
  });

  test('is deaf to a load from what can only be stored to, and the other way round', () => {
    const bus = new Bus('mmio', [
      { space: 'mmio', base: 0, size: 8, device: { write: () => null } },
      { space: 'mmio', base: 8, size: 8, device: { read: () => null } },
    ]);
    const data = new DataView(new ArrayBuffer(8));
    expect([bus.access(0, 4, true, data), bus.access(8, 4, false, data)]).toEqual([null, null]);
    expect(bus.access(0, 4, false, data)).toMatchObject({ kind: 'unmapped', isWrite: false });
    expect(bus.access(8, 4, true, data)).toMatchObject({ kind: 'unmapped', isWrite: true });
  });

  test('of a machine where nobody answers elsewhere: loads give ones, stores are lost, nothing ends', () => {
    const calls: number[] = [];
    const device: Device = { write: (offset) => (calls.push(offset), null) };
    const bus = new Bus('pio', [{ space: 'pio', base: 4, size: 4, device }], 'ones');
    const load = (address: number, length: number): bigint => {
      const data = new DataView(new ArrayBuffer(8));
      expect(bus.access(address, length, false, data)).toBeNull();
      return data.getBigUint64(0, true);
    };
    expect([load(0x70, 1), load(0x70, 4), load(4, 2), load(6, 4)]).toEqual([
      0xffn,
      0xffff_ffffn,
      0xffffn,
      0xffff_ffffn,
    ]);
    const data = new DataView(new ArrayBuffer(8));
    for (const address of [0, 5, 6, 9]) expect(bus.access(address, 4, true, data)).toBeNull();
    expect(calls).toEqual([]);
    expect(bus.access(5, 2, true, data)).toBeNull();
    expect(calls).toEqual([1]);
  });
});
