import { expect, test } from 'vitest';
import { ARCHES, ATTRIBUTES, MODELS, MTRR_TYPES, SOURCES, kindOfType, memoryKindOf } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { strictnessOf } from '../memattr/strictness.ts';
import type { Choice } from '../memattr/strictness.ts';

test.each([
  ['strict', ['Device-nGnRnE', 'Device-nGRE', 'UC', 'UC-', 'UC or CD', 'EPT UC IPAT']],
  ['combining', ['Device-GRE', 'Normal-NC', 'WC', 'WC+', 'UC or WC', 'NPT WC']],
  [
    'cached',
    [
      'Normal-WB',
      'Normal-oNC-iWT',
      'Normal-oWB-iNC',
      'Normal-Tagged',
      'Normal-Tagged-NoTagAccess',
      'WB',
      'WC or WB',
      'EPT WB',
    ],
  ],
  ['unknown', ['', 'unknown', 'mixed', 'reserved', 'trapped', 'UC or unknown', 'UC or nonsense', 'constructor']],
] as const)('is %s: %j', (kind, types) => {
  expect(types.map(kindOfType)).toEqual(types.map(() => kind));
});

const PLATFORMS: readonly Platform[] = [true, false, null].flatMap((fwb) =>
  (['ept', 'npt'] as const).flatMap((nestedPaging) =>
    [...MTRR_TYPES, null].map((mtrr) => ({ fwb, faultForwarding: true, mte: false, nestedPaging, mtrr })),
  ),
);

test('every type that a model can make has a kind', () => {
  const made = ARCHES.flatMap((arch) => {
    const { hostVma, stage2, effective, trapped, stage1Types } = MODELS[arch];
    return PLATFORMS.flatMap((platform) =>
      SOURCES.flatMap((source) =>
        ATTRIBUTES.filter((attribute) => source !== 'legacy' || attribute === 'default').flatMap((attribute) => {
          const nested = stage2(attribute, source, platform);
          const own = [hostVma(attribute, source), nested, trapped.effective(attribute, source, platform)];
          return own.concat(stage1Types.map((stage1) => effective(stage1, nested, platform)));
        }),
      ),
    );
  });
  expect(new Set(made.filter((type) => kindOfType(type) === 'unknown'))).toEqual(new Set());
  expect(new Set(made).size).toBeGreaterThan(20);
});

test.each(ARCHES)('the model of %s says so', (arch) => {
  expect(MODELS[arch].arch).toBe(arch);
});

test('Device and Normal are told by the name', () => {
  expect(['Device-GRE', 'Normal-oNC-iWB', 'Normal', 'WB', 'as-stage-1', 'not Device-'].map(memoryKindOf)).toEqual([
    'Device',
    'Normal',
    null,
    null,
    null,
    null,
  ]);
});

test.each(ARCHES)(
  'the type by which a driver of %s asks for combining combines, and is one that guests can choose',
  (arch) => {
    const { stage1Types, combiningType, kindOf } = MODELS[arch];
    expect(stage1Types.map(({ name }) => name)).toContain(combiningType);
    expect(kindOf(combiningType)).toBe('combining');
    expect(kindOf(stage1Types[0]?.name ?? '')).toBe('strict');
  },
);

function isStrict(type: string): boolean {
  return type === 'UC' || type === 'CD';
}

function choice(effective: string): Choice {
  return { stage1: 'own', effective };
}

test('a window is strict where every type that is possible is', () => {
  expect(strictnessOf([choice('UC or CD'), choice('UC')], isStrict)).toEqual({
    strict: true,
    why: 'whatever a guest asks for, it gets UC or CD or UC',
  });
  expect(strictnessOf([choice('UC'), choice('UC or WC'), choice('WC or UC')], isStrict)).toEqual({
    strict: false,
    why: 'a guest that asks for own gets UC or WC, a guest that asks for own gets WC or UC',
  });
});
