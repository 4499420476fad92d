import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodePat, mtrrTypeOf } from '../memattr/index.ts';
import type { MtrrType, Mtrrs } from '../memattr/index.ts';

const GIB = 1n << 30n;
const MIB = 1n << 20n;
const TYPES = ['UC', 'WC', 'WT', 'WP', 'WB'] as const;
const VALID = 1n << 11n;

function defaultType(type: MtrrType, enabled = true): bigint {
  return BigInt(encodePat(type)) | (enabled ? 1n << 11n : 0n);
}

/** A variable range as firmware writes it on a CPU with `bits` of physical address. */
function range(start: bigint, size: bigint, type: MtrrType, bits = 39n): Mtrrs['variable'][number] {
  return { base: start | BigInt(encodePat(type)), mask: (((1n << bits) - 1n) & ~(size - 1n)) | VALID };
}

describe('what MTRRs make of a range', () => {
  const firmware: Mtrrs = {
    defaultType: defaultType('WB'),
    variable: [range(2n * GIB, 2n * GIB, 'UC'), range(512n * GIB, 512n * GIB, 'UC', 46n)],
  };

  test('the default where no range is', () => {
    expect(mtrrTypeOf(firmware, GIB, GIB)).toBe('WB');
    expect(mtrrTypeOf(firmware, 4n * GIB, 4n * GIB)).toBe('WB');
  });

  test('the range where one is', () => {
    expect(mtrrTypeOf(firmware, 3n * GIB, MIB)).toBe('UC');
    expect(mtrrTypeOf(firmware, 600n * GIB, 8n * GIB)).toBe('UC');
  });

  test('the range where it is just that', () => {
    expect(mtrrTypeOf(firmware, 2n * GIB, 2n * GIB)).toBe('UC');
    const least = { defaultType: defaultType('UC'), variable: [range(MIB, MIB, 'WP')] };
    expect(mtrrTypeOf(least, MIB, MIB)).toBe('WP');
    expect(mtrrTypeOf(least, MIB - 1n, MIB)).toBeNull();
  });

  test('nothing by a type that no MTRR has', () => {
    for (const reserved of [2n, 3n, 7n, 8n]) {
      expect(mtrrTypeOf({ defaultType: reserved | (1n << 11n), variable: [] }, GIB, MIB)).toBeNull();
      const variable = [{ ...range(GIB, GIB, 'UC'), base: GIB | reserved }];
      expect(mtrrTypeOf({ defaultType: defaultType('WB'), variable }, GIB, MIB)).toBeNull();
    }
  });

  test('nothing where a mask has no bits, or where three types overlap', () => {
    expect(mtrrTypeOf({ defaultType: defaultType('WB'), variable: [{ base: 0n, mask: VALID }] }, GIB, MIB)).toBeNull();
    const variable = (['WT', 'WB', 'WP'] as const).map((type) => range(GIB, GIB, type));
    expect(mtrrTypeOf({ defaultType: defaultType('UC'), variable }, GIB, MIB)).toBeNull();
    expect(mtrrTypeOf({ defaultType: defaultType('UC'), variable: variable.slice(0, 2) }, GIB, MIB)).toBe('WT');
  });

  test('nothing where the range ends within', () => {
    expect(mtrrTypeOf(firmware, 2n * GIB - MIB, 2n * MIB)).toBeNull();
    expect(mtrrTypeOf(firmware, GIB, 4n * GIB)).toBeNull();
  });

  test('UC with all MTRRs off, nothing in the first MiB or for no bytes', () => {
    expect(mtrrTypeOf({ ...firmware, defaultType: defaultType('WB', false) }, GIB, GIB)).toBe('UC');
    expect(mtrrTypeOf(firmware, 0xa0000n, 0x1000n)).toBeNull();
    expect(mtrrTypeOf(firmware, GIB, 0n)).toBeNull();
  });

  test('a range that is not valid does not count, a mask with holes says nothing', () => {
    expect(
      mtrrTypeOf({ defaultType: defaultType('UC'), variable: [{ base: GIB | 6n, mask: 0x7f_c000_0000n }] }, GIB, MIB),
    ).toBe('UC');
    expect(
      mtrrTypeOf(
        { defaultType: defaultType('UC'), variable: [{ base: GIB | 6n, mask: 0x7f_4000_0000n | VALID }] },
        GIB,
        MIB,
      ),
    ).toBeNull();
  });

  test.each([
    ['UC', 'WB', 'UC'],
    ['WT', 'WB', 'WT'],
    ['WC', 'UC', 'UC'],
    ['WB', 'WB', 'WB'],
    ['WC', 'WB', null],
    ['WP', 'WT', null],
  ] as const)('%s over %s is %s', (one, other, together) => {
    const variable = [range(GIB, GIB, one), range(0n, 4n * GIB, other)];
    expect(mtrrTypeOf({ defaultType: defaultType('UC'), variable }, GIB, MIB)).toBe(together);
    expect(mtrrTypeOf({ defaultType: defaultType('UC'), variable: variable.toReversed() }, GIB, MIB)).toBe(together);
  });

  test('is what every page of it is', () => {
    const anyRange = fc.record({
      at: fc.integer({ min: 1, max: 15 }),
      order: fc.integer({ min: 0, max: 3 }),
      type: fc.constantFrom(...TYPES),
    });
    fc.assert(
      fc.property(
        fc.array(anyRange, { maxLength: 4 }),
        fc.constantFrom(...TYPES),
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 1, max: 6 }),
        (ranges, other, at, length) => {
          const variable = ranges.map(({ at, order, type }) =>
            range((BigInt(at) >> BigInt(order)) * (MIB << BigInt(order)), MIB << BigInt(order), type),
          );
          const mtrrs = { defaultType: defaultType(other), variable };
          const pages = Array.from({ length }, (_, index) => mtrrTypeOf(mtrrs, BigInt(at + index) * MIB, MIB));
          const alike = new Set(pages).size === 1;
          expect(mtrrTypeOf(mtrrs, BigInt(at) * MIB, BigInt(length) * MIB)).toBe(alike ? pages[0] : null);
        },
      ),
    );
  });
});
