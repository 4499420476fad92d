import { describe, expect, test } from 'vitest';
import { STAGE1_TYPES, decodeMair, encodeMair, normalTagged } from '../memattr/mair.ts';
import { NON_CACHEABLE, WRITE_BACK, describe as describeType, nameOf, normal } from '../memattr/memory-type.ts';

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** The register's description, read as a list of what has no meaning. */
const UNPREDICTABLE = BYTES.filter((byte) =>
  byte < 0x10 ? (byte & 0b10) !== 0 : (byte & 0xf) === 0 && ![0x40, 0xa0, 0xf0].includes(byte),
);

describe('MAIR attribute bytes', () => {
  test('that mean nothing are named as such, and no others', () => {
    expect(BYTES.filter((byte) => decodeMair(byte).kind === 'reserved')).toEqual(UNPREDICTABLE);
    for (const byte of UNPREDICTABLE)
      expect(describeType(decodeMair(byte))).toMatch(/^reserved: MAIR attribute 0x[0-9a-f]{2} is UNPREDICTABLE/);
  });

  test('come back from their types', () => {
    for (const byte of BYTES.filter((candidate) => !UNPREDICTABLE.includes(candidate)))
      expect(encodeMair(decodeMair(byte))).toBe(byte);
  });

  test('have descriptions that tell them apart', () => {
    expect(new Set(BYTES.map((byte) => describeType(decodeMair(byte)))).size).toBe(256);
  });

  test('decode to what the register description says', () => {
    const described = [
      0x00, 0x01, 0x04, 0x08, 0x0c, 0x0d, 0x40, 0x44, 0xa0, 0xaa, 0xbb, 0x11, 0x77, 0x4f, 0xf4, 0xcc, 0xf0, 0xff,
    ].map((byte) => describeType(decodeMair(byte)));
    expect(described).toEqual([
      'Device-nGnRnE',
      'Device-nGnRnE (nXS)',
      'Device-nGnRE',
      'Device-nGRE',
      'Device-GRE',
      'Device-GRE (nXS)',
      'Normal-NC (nXS)',
      'Normal-NC',
      'Normal-WT (outer RA, inner RA, nXS)',
      'Normal-WT (outer RA, inner RA)',
      'Normal-WT (outer RA WA, inner RA WA)',
      'Normal-WT (outer WA transient, inner WA transient)',
      'Normal-WB (outer RA WA transient, inner RA WA transient)',
      'Normal-oNC-iWB (inner RA WA)',
      'Normal-oWB-iNC (outer RA WA)',
      'Normal-WB (outer no allocation, inner no allocation)',
      'Normal-Tagged (outer RA WA, inner RA WA)',
      'Normal-WB (outer RA WA, inner RA WA)',
    ]);
  });

  test('are exempt from XS only where both levels are Write-Back', () => {
    const types = [normal(WRITE_BACK, NON_CACHEABLE, { xs: false }), normal(NON_CACHEABLE, WRITE_BACK, { xs: false })];
    expect(types.map(describeType)).toEqual(['Normal-oWB-iNC (outer RA WA, nXS)', 'Normal-oNC-iWB (inner RA WA, nXS)']);
  });

  test.each([-1, 256, 0.5, Number.NaN])('%d is none', (byte) => {
    expect(() => decodeMair(byte)).toThrow(new RangeError(`${byte} is no MAIR attribute; expected a byte.`));
  });
});

describe('the types that guests are asked about', () => {
  test.each([...STAGE1_TYPES, normalTagged])('$name is what its byte means', ({ name, encoding }) => {
    expect(nameOf(decodeMair(encoding))).toBe(name);
  });
});

describe('types that no byte stands for', () => {
  const outer = { policy: 'WB', readAllocate: true, writeAllocate: false, transient: false } as const;

  test.each([
    ['tags without both hints', { kind: 'normal', outer, inner: outer, tags: 'allocation', xs: false }],
    ['tags that may not be touched', { kind: 'normal', outer, inner: outer, tags: 'no-access', xs: false }],
    [
      'write-through nXS with other hints',
      {
        kind: 'normal',
        outer: { ...outer, policy: 'WT', writeAllocate: true },
        inner: { ...outer, policy: 'WT' },
        tags: 'none',
        xs: false,
      },
    ],
    [
      'tags where one level has no hints',
      { kind: 'normal', outer: WRITE_BACK, inner: outer, tags: 'allocation', xs: false },
    ],
    ['cached by one level and nXS', normal(WRITE_BACK, NON_CACHEABLE, { xs: false })],
    ['cached by the other and nXS', normal(NON_CACHEABLE, WRITE_BACK, { xs: false })],
    ['a reserved one', { kind: 'reserved', why: 'nothing' }],
  ] as const)('%s', (_, type) => {
    expect(encodeMair(type)).toBeNull();
  });
});
