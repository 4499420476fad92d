import { describe, expect, test } from 'vitest';
import {
  MODELS,
  TRAPPED,
  excludedByTiming,
  mayBeTimed,
  normalTagged,
  outcomesOf,
  timedAlike,
  worthOf,
} from '../memattr/index.ts';
import type { Arch, Platform, ProbeName, Stage1Type, Worth } from '../memattr/index.ts';
import { UNALIGNED } from './alignment-probes.ts';

const QEMU = 'qemu-10.0.2';
const ARM: Platform = { fwb: true, faultForwarding: true, mte: false };
const DEVICES = ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE'];

function worth(
  arch: Arch,
  [probe, stage1Name, stage2]: readonly [ProbeName, string, string],
  platform: Platform,
  emulator: string | null = null,
): Worth {
  const model = MODELS[arch];
  const stage1 = model.stage1Named(stage1Name) as Stage1Type;
  const predicted = outcomesOf(model.predict(probe, stage1, stage2, platform));
  const effective = model.effective(stage1, stage2, platform);
  return worthOf(model, platform, { probe, stage1, stage2, effective, predicted }, emulator);
}

/** Every check of one window by what it is worth. */
function count(arch: Arch, stage2: string, platform: Platform, emulator: string | null): Record<string, number> {
  const model = MODELS[arch];
  const counts: Record<string, number> = {};
  for (const { name } of model.stage1Types)
    for (const probe of model.probes) {
      const { speaksOf, blindBy } = worth(arch, [probe, name, stage2], platform, emulator);
      const key = blindBy === null ? speaksOf : 'blind';
      counts[key] = (counts[key] ?? 0) + 1;
    }
  return counts;
}

describe('arm64', () => {
  test.each(UNALIGNED)('%s tells Device from Normal under a Normal stage 1, and no more', (probe) => {
    expect(worth('arm64', [probe, 'Normal-NC', 'Normal-NC'], ARM).excludes).toEqual(DEVICES);
    expect(worth('arm64', [probe, 'Normal-WB', 'Device-nGnRE'], ARM).excludes).toEqual([
      'Normal-NC',
      'Normal-WB',
      'as-stage-1',
    ]);
  });

  test('without FWB stage 2 can also be write-through', () => {
    const { excludes } = worth('arm64', ['unaligned-load', 'Normal-WB', 'Device-nGnRE'], { ...ARM, fwb: false });
    expect(excludes).toEqual(['Normal-NC', 'Normal-WT', 'Normal-WB']);
  });

  test.each(['Device-nGnRnE', 'Device-nGnRE', 'Device-GRE'])("a fault under the guest's own %s is stage 1's", (own) => {
    for (const stage2 of ['Normal-NC', 'Device-nGnRE'])
      expect(worth('arm64', ['unaligned-load', own, stage2], ARM)).toMatchObject({ speaksOf: 'stage1', excludes: [] });
  });

  test.each([
    ['stage1-self-check', 'stage1'],
    ['fetch', 'kvm-policy'],
    ['data-read', 'function'],
    ['data-write', 'function'],
    ['store-bandwidth', 'function'],
    ['exclusive', 'function'],
  ] as const)('%s speaks of %s', (probe, speaksOf) => {
    for (const stage1 of ['Device-nGnRE', 'Normal-NC', 'Normal-WB'])
      for (const stage2 of ['Normal-NC', 'Device-nGnRE', 'Normal-WB'])
        expect(worth('arm64', [probe, stage1, stage2], ARM)).toMatchObject({ speaksOf, excludes: [] });
  });

  test('a tag that is kept rules out whatever is not write-back', () => {
    const tagging = { ...ARM, mte: true };
    const kept = worth('arm64', ['tag-retention', normalTagged.name, 'Normal-WB'], tagging);
    expect(kept.excludes).toEqual([...DEVICES, 'Normal-NC']);
    expect(worth('arm64', ['tag-retention', 'Normal-WB', 'Normal-WB'], tagging).excludes).toEqual([]);
  });

  test.each(['zero-block', 'simd-half-aligned'] as const)('%s tells types apart, and on QEMU it is blind', (probe) => {
    expect(worth('arm64', [probe, 'Normal-NC', 'Normal-NC'], ARM).excludes).toEqual(DEVICES);
    for (const stage2 of ['Normal-NC', 'Device-nGnRE']) {
      const blind = worth('arm64', [probe, 'Normal-NC', stage2], ARM, QEMU);
      expect(blind).toMatchObject({ speaksOf: 'function', excludes: [] });
      expect(blind.blindBy?.id).toBe(
        { 'zero-block': 'qemu-dc-zva-device', 'simd-half-aligned': 'qemu-simd-half-aligned' }[probe],
      );
      expect(worth('arm64', [probe, 'Normal-NC', stage2], ARM, 'bochs-2.7')).toMatchObject({
        speaksOf: 'type',
        blindBy: null,
      });
    }
  });

  test('one of several outcomes that an erratum may change is blind, too', () => {
    const stage1 = arm('Normal-NC');
    const check = { probe: 'zero-block', stage1, stage2: 'Device-nGnRE', effective: 'Device-nGnRE' } as const;
    const seen = worthOf(MODELS.arm64, ARM, { ...check, predicted: ['alignment-fault', 'external-abort'] }, QEMU);
    expect(seen).toMatchObject({ excludes: [], blindBy: { id: 'qemu-dc-zva-device' } });
  });

  test('a prediction that was replaced excludes no type that the window has', () => {
    const stage1 = arm('Normal-NC');
    const check = { probe: 'unaligned-load', stage1, stage2: 'Device-nGnRE', effective: 'Device-nGnRE' } as const;
    const { excludes } = worthOf(MODELS.arm64, ARM, { ...check, predicted: ['ok'] }, null);
    expect(excludes).toEqual(DEVICES.filter((type) => type !== 'Device-nGnRE'));
  });

  test('a probe that the model does not know shows nothing', () => {
    const stage1 = arm('Normal-NC');
    const check = {
      probe: 'nt-store',
      stage1,
      stage2: 'Normal-NC',
      effective: 'Normal-NC',
      predicted: ['ok'],
    } as const;
    expect(worthOf(MODELS.arm64, ARM, check, null)).toEqual({ speaksOf: 'function', excludes: [], blindBy: null });
  });

  test('where it is not known whether KVM forwards faults, either end rules out Normal', () => {
    const unknown = { ...ARM, faultForwarding: null };
    expect(worth('arm64', ['unaligned-load', 'Normal-NC', 'Device-nGnRE'], unknown).speaksOf).toBe('type');
  });

  test('of a window, on hardware and on QEMU', () => {
    expect(count('arm64', 'Normal-NC', ARM, null)).toEqual({ type: 16, stage1: 29, 'kvm-policy': 5, function: 35 });
    expect(count('arm64', 'Normal-NC', ARM, QEMU)).toMatchObject({ type: 12, blind: 4 });
    expect(count('arm64', 'Device-nGnRE', ARM, QEMU)).toMatchObject({ type: 12, blind: 4 });
  });

  test('an access that ends the VM where accesses are trapped is of no type that is mapped', () => {
    const stage1 = arm('Normal-NC');
    const check = { probe: 'unaligned-load-pair', stage1, stage2: TRAPPED, effective: 'Normal-NC' } as const;
    const predicted = outcomesOf(MODELS.arm64.trapped.predict(check.probe, stage1, ARM));
    expect(worthOf(MODELS.arm64, ARM, { ...check, predicted }, null).excludes).toEqual(MODELS.arm64.stage2Types(ARM));
  });
});

function x86(name: string): Stage1Type {
  return MODELS.x86.stage1Named(name) as Stage1Type;
}

function arm(name: string): Stage1Type {
  return MODELS.arm64.stage1Named(name) as Stage1Type;
}

describe('what is timed', () => {
  const ept: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging: 'ept', mtrr: null };

  test.each([[['UC', 'UC-', 'CD']], [['WC', 'WC+']], [['WT', 'WP']], [['WB']], [['Normal-NC']]])(
    '%j take the same time, and no others',
    (types) => {
      for (const type of types) expect(timedAlike(type)).toEqual(types);
    },
  );

  test('rules out the types of stage 2 that would have been timed otherwise', () => {
    // SDM vol. 3 table 13-7, EPT in the MTRRs' place.
    expect(excludedByTiming(MODELS.x86, ept, x86('UC-'), 'WC')).toEqual([
      'EPT UC',
      'EPT UC IPAT',
      'EPT WP IPAT',
      'EPT WT',
      'EPT WT IPAT',
      'EPT WB',
      'EPT WB IPAT',
    ]);
    expect(excludedByTiming(MODELS.x86, ept, x86('WB'), 'UC or WC')).toEqual([
      'EPT WP',
      'EPT WP IPAT',
      'EPT WT',
      'EPT WT IPAT',
      'EPT WB',
      'EPT WB IPAT',
    ]);
    // An MTRR that is not known: one of the types that are possible is enough. APM vol. 2 tables 15-19 and 15-20.
    expect(excludedByTiming(MODELS.x86, { ...ept, nestedPaging: 'npt' }, x86('UC-'), 'WC')).toEqual([
      'NPT UC',
      'NPT WP',
      'NPT WT',
      'NPT WB',
    ]);
    // WC+ or WC, which are timed alike.
    expect(excludedByTiming(MODELS.x86, { ...ept, nestedPaging: 'npt' }, x86('WC'), 'WC')).toEqual([]);
  });

  test('says nothing where the model has no uncached type', () => {
    expect(mayBeTimed(MODELS.arm64, ARM, arm('Normal-NC'), 'Normal-NC', { loads: 'faster', stores: 'faster' })).toBe(
      true,
    );
  });
});

describe.each(['ept', 'npt', null] as const)('x86 with nested paging %s', (nestedPaging) => {
  const platform: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging, mtrr: 'UC' };
  const stage2 = { ept: 'EPT UC', npt: 'NPT WB', none: 'unknown' }[nestedPaging ?? 'none'];

  test('no check speaks of the type', () => {
    expect(count('x86', stage2, platform, null)).toEqual({ stage1: 6, function: 84 });
  });
});
