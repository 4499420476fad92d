import { describe, expect, test } from 'vitest';
import { KVM_STAGE2, decodeStage2, encodeStage2, nameOfStage2, stage2Named, stage2Names } from '../memattr/stage2.ts';

const VALUES = Array.from({ length: 16 }, (_, value) => value);
const names = (fwb: boolean, mtePerm: boolean): readonly string[] =>
  VALUES.map((value) => nameOfStage2(value, { fwb, mtePerm }));
const DEVICES = ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE'];
const RESERVED = 'reserved';

// Arm ARM, tables D8-96, D8-100 and D8-101, row by row.
const COMBINED = [
  ...DEVICES,
  RESERVED,
  'Normal-NC',
  'Normal-oNC-iWT',
  'Normal-oNC-iWB',
  RESERVED,
  'Normal-oWT-iNC',
  'Normal-WT',
  'Normal-oWT-iWB',
  RESERVED,
  'Normal-oWB-iNC',
  'Normal-oWB-iWT',
  'Normal-WB',
];
const FORCED = [
  ...DEVICES,
  RESERVED,
  'Normal-NC',
  'Normal-WB',
  'as-stage-1',
  ...Array.from({ length: 8 }, () => RESERVED),
];

describe('stage-2 MemAttr', () => {
  test('without FWB', () => {
    expect(names(false, false)).toEqual(COMBINED);
    expect(names(false, true)).toEqual(COMBINED.with(0b0100, 'Normal-WB-NoTagAccess'));
  });

  test('with FWB', () => {
    expect(names(true, false)).toEqual(FORCED);
    expect(names(true, true)).toEqual(
      FORCED.with(0b1110, 'Normal-WB-NoTagAccess').with(0b1111, 'as-stage-1-NoTagAccess'),
    );
  });

  test.each([
    [false, ['0100', '1000', '1100']],
    [true, ['0100', '1000', '1001', '1010', '1011', '1100', '1101', '1110', '1111']],
  ])('names a reserved value when it says why, FWB %s', (fwb, expected) => {
    const reserved = VALUES.map((value) => decodeStage2(value, { fwb })).flatMap((attribute) =>
      attribute.kind === 'reserved' ? [attribute.why] : [],
    );
    expect(reserved.map((why) => /^stage-2 MemAttr 0b([01]{4}) is reserved: .{10}/.exec(why)?.[1])).toEqual(expected);
  });

  test.each([-1, 16, 1.5])('%d is none', (value) => {
    expect(() => decodeStage2(value, { fwb: true })).toThrow(
      new RangeError(`${value} is no stage-2 MemAttr; expected 0 to 15.`),
    );
  });
});

describe('a name', () => {
  test.each([true, false])('stands for what has it, FWB %s', (fwb) => {
    for (const name of stage2Names({ fwb })) {
      const attribute = stage2Named(name, { fwb });
      expect(
        VALUES.filter((value) => nameOfStage2(value, { fwb }) === name).map((value) => decodeStage2(value, { fwb })),
      ).toEqual([attribute]);
    }
  });

  test.each(['reserved', 'mixed', 'Normal-WB-NoTagAccess', ''])(
    'that stage 2 does not have is refused: "%s"',
    (name) => {
      expect(() => stage2Named(name, { fwb: false })).toThrow(
        new RangeError(
          `stage 2 has no type ${name}; expected Device-nGnRnE, Device-nGnRE, Device-nGRE, Device-GRE, Normal-NC, Normal-WT, Normal-WB.`,
        ),
      );
    },
  );
});

describe("KVM's values", () => {
  test.each([true, false])('mean what they are called, FWB %s', (fwb) => {
    for (const name of KVM_STAGE2) expect(nameOfStage2(encodeStage2(name, fwb), { fwb })).toBe(name);
  });

  // arch/arm64/include/asm/memory.h
  test('are MT_S2_* and MT_S2_FWB_*', () => {
    expect(KVM_STAGE2.map((name) => [name, encodeStage2(name, false), encodeStage2(name, true)])).toEqual([
      ['Normal-WB', 0xf, 6],
      ['Normal-NC', 5, 5],
      ['Device-nGnRE', 1, 1],
    ]);
  });
});
