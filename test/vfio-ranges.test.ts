import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { containerIovaRanges, decodeCapabilities, mmapAttributes, sparseAreas } from '../vmm/vfio/capabilities.ts';
import { placeIova } from '../vmm/vfio/dma.ts';

function chain(entries: readonly { id: number; body: readonly number[] }[]): Uint8Array {
  const start = 32;
  const total = entries.reduce((sum, { body }) => sum + 8 + body.length * 4, start);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = start;
  for (const [index, { id, body }] of entries.entries()) {
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    const end = at + 8 + body.length * 4;
    view.setUint32(at + 4, index === entries.length - 1 ? 0 : end, true);
    for (const [word, value] of body.entries()) view.setUint32(at + 8 + word * 4, value, true);
    at = end;
  }
  return bytes;
}

describe('a capability chain', () => {
  test('gives sparse areas and attributes', () => {
    const reply = chain([
      { id: 1, body: [2, 0, 0, 0, 0x1000, 0, 0x3000, 0, 0x1000, 0] },
      { id: 6, body: [0b111, 0] },
    ]);
    const capabilities = decodeCapabilities(reply, 32);
    expect(sparseAreas(capabilities)).toEqual([
      { offset: 0n, length: 0x1000n },
      { offset: 0x3000n, length: 0x1000n },
    ]);
    expect(mmapAttributes(capabilities)).toBe(0b111);
  });

  test('a count larger than the reply gives what is there', () => {
    const reply = chain([{ id: 1, body: [0xffff_ffff, 0, 0, 0, 0x1000, 0] }]);
    expect(sparseAreas(decodeCapabilities(reply, 32))).toHaveLength(1);
  });

  test('a chain that runs in a circle ends', () => {
    const reply = chain([{ id: 3, body: [] }]);
    new DataView(reply.buffer).setUint32(36, 32, true);
    expect(decodeCapabilities(reply, 32)).toHaveLength(1);
  });

  test('any bytes are decoded without an exception and to an end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 256 }), fc.nat(300), (bytes, first) => {
        const capabilities = decodeCapabilities(bytes, first);
        sparseAreas(capabilities);
        mmapAttributes(capabilities);
        containerIovaRanges(bytes);
        expect(capabilities.length).toBeLessThanOrEqual(bytes.length / 8);
      }),
    );
  });
});

describe('placing guest RAM in IOVA space', () => {
  const MSI_HOLE = [
    { start: 0n, last: 0x7ff_ffffn },
    { start: 0x810_0000n, last: (1n << 48n) - 1n },
  ];

  test('keeps the guest-physical address where it is allowed', () => {
    expect(placeIova(MSI_HOLE, 0x4000_0000n, 4n << 20n, 1n << 21n)).toBe(0x4000_0000n);
  });

  test('goes around a hole', () => {
    expect(placeIova(MSI_HOLE, 0x800_0000n, 0x20_0000n, 1n << 21n)).toBe(0n);
    expect(placeIova(MSI_HOLE, 0x800_0000n, 0x1000_0000n, 1n << 21n)).toBe(0x820_0000n);
  });

  test('says when there is no room', () => {
    expect(placeIova([{ start: 0n, last: 0xfffn }], 0n, 0x2000n, 0x1000n)).toBeNull();
    expect(placeIova([], 0n, 1n, 1n)).toBeNull();
  });

  test('agrees with a bitmap of pages', () => {
    const range = fc.tuple(fc.nat(63), fc.nat(63)).map(([a, b]) => ({ start: Math.min(a, b), last: Math.max(a, b) }));
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 4 }),
        fc.nat(63),
        fc.integer({ min: 1, max: 16 }),
        fc.constantFrom(1, 2, 4, 8),
        (ranges, wanted, length, alignment) => {
          const holds = (at: number): boolean =>
            ranges.some(({ start, last }) => start <= at && at + length - 1 <= last);
          const pages = Array.from({ length: 64 }, (_, page) => page);
          const lowest = pages.find((page) => page % alignment === 0 && holds(page));
          const expected = holds(wanted) ? wanted : lowest;
          const placed = placeIova(
            ranges.map(({ start, last }) => ({ start: BigInt(start), last: BigInt(last) })),
            BigInt(wanted),
            BigInt(length),
            BigInt(alignment),
          );
          expect(placed).toBe(expected === undefined ? null : BigInt(expected));
        },
      ),
    );
  });
});
