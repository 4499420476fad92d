import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combine, combineShareability, decodeShareability } from '../memattr/combine.ts';
import type { Shareability } from '../memattr/combine.ts';
import { decodeMair, encodeMair } from '../memattr/mair.ts';
import { nameOf } from '../memattr/memory-type.ts';
import type { MemoryType } from '../memattr/memory-type.ts';
import { decodeStage2 } from '../memattr/stage2.ts';

const BYTES = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => decodeMair(byte).kind !== 'reserved');
const VALUES = Array.from({ length: 16 }, (_, value) => value);
const usable = (fwb: boolean): readonly number[] =>
  VALUES.filter((value) => decodeStage2(value, { fwb }).kind !== 'reserved');
const both = (byte: number, value: number, fwb: boolean): MemoryType =>
  combine(decodeMair(byte), decodeStage2(value, { fwb }));
const name = (byte: number, value: number, fwb: boolean): string => nameOf(both(byte, value, fwb));

const limited = (type: MemoryType, value: number): MemoryType => combine(type, decodeStage2(value, { fwb: false }));

/** How much a type lets hardware do, in both cache levels: -4..-1 Device, 0 NC, 1 WT, 2 WB. */
function freedom(type: MemoryType): readonly [number, number] {
  if (type.kind === 'reserved') throw new Error(type.why);
  if (type.kind === 'device') {
    const rank = ['nGnRnE', 'nGnRE', 'nGRE', 'GRE'].indexOf(type.device) - 4;
    return [rank, rank];
  }
  const rank = { NC: 0, WT: 1, WB: 2 };
  return [rank[type.outer.policy], rank[type.inner.policy]];
}

describe('whatever both stages are', () => {
  const all = BYTES.flatMap((byte) =>
    [true, false].flatMap((fwb) => usable(fwb).map((value) => both(byte, value, fwb))),
  );
  const levels = all.flatMap((type) => (type.kind === 'normal' ? [type.outer, type.inner] : []));

  test('memory that is not cached has no allocation hints', () => {
    const uncached = levels.filter(({ policy }) => policy === 'NC');
    expect(uncached.length).toBeGreaterThan(0);
    expect(uncached.filter((level) => level.readAllocate || level.writeAllocate || level.transient)).toEqual([]);
  });

  test('Write-Back memory is exempt from XS, and no tags are anywhere else', () => {
    const writeBack = all.filter((type) => nameOf(type) === 'Normal-WB' || nameOf(type) === 'Normal-Tagged');
    expect(writeBack.filter((type) => type.kind !== 'normal' || type.xs)).toEqual([]);
    expect(all.filter((type) => type.kind === 'normal' && type.tags !== 'none' && !writeBack.includes(type))).toEqual(
      [],
    );
  });
});

describe('without FWB', () => {
  test('nothing is freer than either stage allows, and as free as both do', () => {
    for (const byte of BYTES) {
      for (const value of usable(false)) {
        const result = freedom(both(byte, value, false));
        const one = freedom(decodeMair(byte));
        // 0xff is the freest type: under it stage 2 shows itself.
        const two = freedom(both(0xff, value, false));
        expect(result).toEqual([Math.min(one[0], two[0]), Math.min(one[1], two[1])]);
      }
    }
  });

  test('stage 2 Write-Back is stage 1, to the last hint', () => {
    for (const byte of BYTES) expect(both(byte, 0b1111, false)).toEqual(decodeMair(byte));
  });

  test('the order in which two limits are put on a type does not matter, and once is enough', () => {
    const value = fc.constantFrom(...usable(false));
    fc.assert(
      fc.property(fc.constantFrom(...BYTES), value, value, (byte, a, b) => {
        expect(nameOf(limited(both(byte, a, false), b))).toBe(nameOf(limited(both(byte, b, false), a)));
        expect(limited(both(byte, a, false), a)).toEqual(both(byte, a, false));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('with FWB', () => {
  test('0b110 leaves nothing but Write-Back, 0b101 nothing cacheable, 0b111 everything', () => {
    for (const byte of BYTES) {
      const own = nameOf(decodeMair(byte));
      expect(name(byte, 0b0110, true)).toBe(own === 'Normal-Tagged' ? own : 'Normal-WB');
      expect(name(byte, 0b0101, true)).toBe(own.startsWith('Device') ? own : 'Normal-NC');
      expect(both(byte, 0b0111, true)).toEqual(decodeMair(byte));
    }
  });

  test('NC keeps what stage 1 says of XS', () => {
    expect([both(0x40, 0b0101, true), both(0xff, 0b0101, true)]).toEqual([decodeMair(0x40), decodeMair(0x40)]);
    expect([both(0x44, 0b0101, true), both(0xbb, 0b0101, true)]).toEqual([decodeMair(0x44), decodeMair(0x44)]);
  });

  test('stage-2 Device combines as without', () => {
    for (const byte of BYTES)
      for (const value of [0, 1, 2, 3]) expect(both(byte, value, true)).toEqual(both(byte, value, false));
  });

  test('allocation hints are stage 1’s where it has any, and both otherwise', () => {
    for (const byte of BYTES.filter((candidate) => candidate > 0x0f && candidate !== 0xf0)) {
      const own = decodeMair(byte);
      const result = both(byte, 0b0110, true);
      if (own.kind !== 'normal' || result.kind !== 'normal') throw new Error('Normal memory expected');
      for (const level of ['outer', 'inner'] as const) {
        const hints =
          own[level].policy === 'NC' ? { readAllocate: true, writeAllocate: true, transient: false } : own[level];
        expect(result[level]).toEqual({ ...hints, policy: 'WB' });
      }
    }
  });
});

/** One cache level of a sum on nibbles: the weaker policy, with stage 1's hints and transience. */
function nibble(stage1: number, stage2: number): number {
  const policy = stage1 === 4 ? 0 : (stage1 & 4) === 0 ? 1 : 2;
  const least = Math.min(policy, stage2 - 1);
  return least === 0 ? 4 : (stage1 & 0b1011) | (least === 2 ? 4 : 0);
}

/** The sum as arch/arm64/kvm/at.c does it, on bytes instead of types: Device by the smaller byte, Normal by nibble. */
function onBytes(byte: number, value: number): number {
  if (value < 4 || byte < 0x10) return Math.min(byte & 0xfe, value < 4 ? value << 2 : 0xff);
  return (nibble(byte >> 4, value >> 2) << 4) | nibble(byte & 0xf, value & 3);
}

const withoutXs = (type: MemoryType): MemoryType => (type.kind === 'reserved' ? type : { ...type, xs: true });

describe('against a sum on bytes', () => {
  test('every pair without FWB', () => {
    // Bytes whose inner nibble is 0 are no pair of nibbles; XS is left out, as Linux's sum does not know it.
    const bytes = BYTES.filter((byte) => byte < 0x10 || (byte & 0xf) !== 0);
    const pairs = bytes.flatMap((byte) => usable(false).map((value) => ({ byte, value })));
    const different = pairs.filter(
      ({ byte, value }) => encodeMair(withoutXs(both(byte, value, false))) !== onBytes(byte, value),
    );
    expect(pairs.length).toBeGreaterThan(2000);
    expect(different).toEqual([]);
  });
});

const mtePerm = (byte: number, value: number, fwb: boolean): string =>
  nameOf(combine(decodeMair(byte), decodeStage2(value, { fwb, mtePerm: true })));

// Arm ARM, tables D8-97, D8-98, D8-99 and D8-101, and RHWZM for what FWB makes of Device.
describe('the tables', () => {
  test.each<readonly [number, number, boolean, string]>([
    [0x00, 0b0001, false, 'Device-nGnRnE'],
    [0x00, 0b0001, true, 'Device-nGnRnE'],
    [0x0c, 0b0001, false, 'Device-nGnRE'],
    [0x04, 0b0010, true, 'Device-nGnRE'],
    [0x08, 0b0011, false, 'Device-nGRE'],
    [0x44, 0b0001, false, 'Device-nGnRE'],
    [0xff, 0b0001, true, 'Device-nGnRE'],
    [0xff, 0b0101, false, 'Normal-NC'],
    [0xff, 0b0101, true, 'Normal-NC'],
    [0x04, 0b0101, true, 'Device-nGnRE'],
    [0xbb, 0b1111, false, 'Normal-WT'],
    [0xff, 0b1010, false, 'Normal-WT'],
    [0x4f, 0b1110, false, 'Normal-oNC-iWT'],
    [0x00, 0b0110, true, 'Normal-WB'],
    [0x44, 0b0110, true, 'Normal-WB'],
    [0x44, 0b1111, false, 'Normal-NC'],
    [0xf0, 0b1111, false, 'Normal-Tagged'],
    [0xf0, 0b0110, true, 'Normal-Tagged'],
    [0xf0, 0b0101, true, 'Normal-NC'],
    [0xf0, 0b1010, false, 'Normal-WT'],
    [0xf0, 0b0001, true, 'Device-nGnRE'],
  ])('stage 1 %d × stage 2 %d, FWB %s: %s', (byte, value, fwb, expected) => {
    expect(name(byte, value, fwb)).toBe(expected);
  });

  test('NoTagAccess needs tags to forbid', () => {
    expect([mtePerm(0xf0, 0b0100, false), mtePerm(0xf0, 0b1110, true), mtePerm(0xf0, 0b1111, true)]).toEqual(
      Array.from({ length: 3 }, () => 'Normal-Tagged-NoTagAccess'),
    );
    expect([mtePerm(0xff, 0b0100, false), mtePerm(0x44, 0b1110, true), mtePerm(0x00, 0b1111, true)]).toEqual([
      'Normal-WB',
      'Normal-WB',
      'Device-nGnRnE',
    ]);
  });

  test('what is reserved stays so', () => {
    expect(name(0x02, 0b1111, false)).toBe('reserved');
    expect(name(0xff, 0b1000, false)).toBe('reserved');
    expect(name(0x00, 0b0100, true)).toBe('reserved');
  });
});

describe('shareability', () => {
  const all: readonly Shareability[] = ['non-shareable', 'inner-shareable', 'outer-shareable'];
  const cacheable = decodeMair(0xff);

  test('is the wider of both for cacheable memory', () => {
    for (const [i, a] of all.entries())
      for (const [j, b] of all.entries()) expect(combineShareability(a, b, cacheable)).toBe(all[Math.max(i, j)]);
  });

  test('is outer for Device and NC memory, but not where one level is cacheable', () => {
    for (const byte of [0x00, 0x0c, 0x44, 0x40])
      for (const a of all)
        for (const b of all) expect(combineShareability(a, b, decodeMair(byte))).toBe('outer-shareable');
    for (const byte of [0x4f, 0xf4, 0x02])
      expect(combineShareability('non-shareable', 'non-shareable', decodeMair(byte))).toBe('non-shareable');
  });

  test('has an encoding that means nothing', () => {
    expect([0, 1, 2, 3].map(decodeShareability)).toEqual(['non-shareable', null, 'outer-shareable', 'inner-shareable']);
    for (const sh of [-1, 4, 1.5, Number.NaN])
      expect(() => decodeShareability(sh)).toThrow(new RangeError(`${sh} is no SH field; expected 0 to 3.`));
  });
});
