import { describe, expect, test } from 'vitest';
import { arm64, normalTagged } from '../memattr/index.ts';
import type { Outcome, Platform, Prediction, ProbeName, Source, Stage1Type } from '../memattr/index.ts';
import { either } from '../memattr/arm64.ts';
import { decodeMair } from '../memattr/mair.ts';
import { predictArm64 } from '../memattr/predict.ts';
import { KVM_STAGE2 } from '../memattr/stage2.ts';
import { ALIGNMENT } from './alignment-probes.ts';

const patched: Platform = { fwb: true, faultForwarding: true, mte: false };
const stock: Platform = { ...patched, faultForwarding: false };

function stage1(name: string): Stage1Type {
  const found = [...arm64.stage1Types, normalTagged].find((type) => type.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

function certain(outcome: Outcome, why: string): Prediction {
  return { kind: 'outcome', outcome, why };
}

/** A prediction in one word. */
function word(probe: ProbeName, type: string, stage2: string, platform: Platform): string {
  const prediction: Prediction = arm64.predict(probe, stage1(type), stage2, platform);
  return prediction.kind === 'outcome' ? prediction.outcome : prediction.kind;
}

describe('a prediction', () => {
  test('has a sentence for its reason', () => {
    const types = [...arm64.stage1Types, normalTagged, { name: 'reserved', encoding: 0x02 }];
    for (const faultForwarding of [true, false, null])
      for (const platform of [true, false, null].map((fwb) => ({ fwb, faultForwarding, mte: fwb === true })))
        for (const stage2 of arm64.stage2Types(platform))
          for (const probe of arm64.probes)
            for (const type of types)
              expect(arm64.predict(probe, type, stage2, platform).why).toMatch(/^\S.*\S \S.*\S$/);
  });

  test('of the device windows does not depend on FWB', () => {
    for (const type of [...arm64.stage1Types, normalTagged]) {
      for (const stage2 of ['Normal-NC', 'Device-nGnRE']) {
        for (const probe of arm64.probes) {
          const [on, off, unknown] = [true, false, null].map((fwb) =>
            arm64.predict(probe, type, stage2, { ...patched, fwb }),
          );
          expect(off).toEqual(on);
          expect(unknown).toEqual(on);
        }
      }
    }
  });

  test('is none where an encoding promises nothing', () => {
    for (const probe of arm64.probes) {
      const own = arm64.predict(probe, { name: 'reserved', encoding: 0x02 }, 'Normal-NC', patched);
      expect(own).toMatchObject({ kind: 'any', why: expect.stringMatching(/^MAIR attribute 0x02 is UNPREDICTABLE/) });
      const effective = { kind: 'reserved', why: 'nothing' } as const;
      const combination = {
        stage1: decodeMair(0xff),
        stage2: 'Normal-NC',
        effective,
        faultForwarding: true,
        mte: true,
      };
      expect(predictArm64(probe, combination)).toEqual({ kind: 'any', why: 'nothing' });
    }
  });

  test('of tags that stage 2 forbids is none', () => {
    const tagged = decodeMair(0xf0);
    if (tagged.kind !== 'normal') throw new Error('not Normal');
    const effective = { ...tagged, tags: 'no-access' } as const;
    const combination = {
      stage1: tagged,
      stage2: 'Normal-WB-NoTagAccess',
      effective,
      faultForwarding: true,
      mte: true,
    };
    expect(predictArm64('tag-retention', combination).kind).toBe('any');
    expect(predictArm64('tag-retention', { ...combination, effective: tagged })).toMatchObject({ outcome: 'ok' });
  });

  test('of exclusives and atomics takes both cache levels to be Write-Back', () => {
    const kinds = [0xff, 0xf4, 0x4f, 0x44].map((encoding) =>
      (['exclusive', 'atomic'] as const).map(
        (probe) => arm64.predict(probe, { name: 'own', encoding }, 'Normal-WB', { ...patched, fwb: false }).kind,
      ),
    );
    expect(kinds).toEqual([
      ['outcome', 'outcome'],
      ['any', 'any'],
      ['any', 'any'],
      ['any', 'any'],
    ]);
  });

  test('refuses a probe of another architecture, and says which there are', () => {
    expect(() => arm64.predict('nt-store', stage1('Normal-NC'), 'Normal-NC', patched)).toThrow(
      new RangeError(`arm64 has no probe nt-store; expected ${arm64.probes.join(', ')}.`),
    );
  });

  test('of a stage 2 whose FWB nobody knows is what both allow', () => {
    expect(arm64.stage2Types({ ...patched, fwb: null })).toEqual([
      'Device-nGnRnE',
      'Device-nGnRE',
      'Device-nGRE',
      'Device-GRE',
      'Normal-NC',
      'Normal-WB',
    ]);
    const any: Prediction = { kind: 'any', why: 'open' };
    const [ok, fault] = [certain('ok', 'one'), certain('alignment-fault', 'two')];
    const either1: Prediction = { kind: 'one-of', outcomes: ['ok', 'alignment-fault'], why: 'some' };
    const why = 'it is not known whether FWB is on. With it: one. Without it: two';
    expect(either(ok, certain('ok', 'three'))).toBe(ok);
    expect(either(any, { kind: 'any', why: 'too' })).toBe(any);
    expect(either(ok, fault)).toEqual({ kind: 'one-of', outcomes: ['ok', 'alignment-fault'], why });
    expect(either(either1, fault)).toBe(either1);
    expect(either(ok, any)).toEqual({
      kind: 'any',
      why: 'it is not known whether FWB is on. With it: one. Without it: open',
    });
    expect(either(any, ok).kind).toBe('any');
  });

  test('refuses a name that stage 2 does not have, and knows what KVM never programs', () => {
    expect(() => arm64.predict('fetch', stage1('Normal-NC'), 'mixed', patched)).toThrow(RangeError);
    expect(() => arm64.effective(stage1('Normal-NC'), 'Normal-WT', patched)).toThrow(RangeError);
    expect(arm64.effective(stage1('Normal-NC'), 'Device-GRE', patched)).toBe('Device-GRE');
    expect(arm64.effective(stage1('Normal-WB'), 'Normal-WT', { ...patched, fwb: false })).toBe('Normal-WT');
  });
});

describe('accesses that need alignment', () => {
  test.each(ALIGNMENT)('%s', (probe) => {
    const row = (type: string, platform: Platform): readonly string[] =>
      KVM_STAGE2.map((stage2) => word(probe, type, stage2, platform));
    // Columns: stage 2 Normal-WB, Normal-NC, Device-nGnRE.
    expect(row('Normal-WB', patched)).toEqual(['ok', 'ok', 'alignment-fault']);
    expect(row('Normal-NC', patched)).toEqual(['ok', 'ok', 'alignment-fault']);
    expect(row('Normal-NC', stock)).toEqual(['ok', 'ok', 'vm-killed']);
    expect(row('Normal-NC', { ...stock, fwb: false })).toEqual(['ok', 'ok', 'vm-killed']);
    expect(row('Normal-NC', { ...stock, faultForwarding: null })).toEqual(['ok', 'ok', 'one-of']);
    expect(
      arm64.predict(probe, stage1('Normal-WB'), 'Device-nGnRE', { ...stock, faultForwarding: null }),
    ).toMatchObject({
      outcomes: ['alignment-fault', 'vm-killed'],
    });
    for (const type of ['Device-nGnRnE', 'Device-nGnRE', 'Device-GRE']) {
      expect(row(type, stock)).toEqual(['any', 'alignment-fault', 'alignment-fault']);
      expect(row(type, { ...patched, fwb: false })).toEqual(['alignment-fault', 'alignment-fault', 'alignment-fault']);
      expect(row(type, { ...patched, fwb: null })).toEqual(['any', 'alignment-fault', 'alignment-fault']);
    }
  });
});

describe('other probes', () => {
  test('exclusives and atomics are only promised on Write-Back', () => {
    for (const probe of ['exclusive', 'atomic'] as const) {
      expect(word(probe, 'Normal-WB', 'Normal-WB', patched)).toBe('ok');
      expect(word(probe, 'Normal-NC', 'Normal-WB', patched)).toBe('ok');
      expect(word(probe, 'Normal-NC', 'Normal-WB', { ...patched, fwb: false })).toBe('any');
      expect(word(probe, 'Normal-NC', 'Normal-WB', { ...patched, fwb: null })).toBe('any');
      expect(word(probe, 'Device-GRE', 'Normal-WB', patched)).toBe('any');
      expect(word(probe, 'Normal-WB', 'Normal-NC', patched)).toBe('any');
      expect(word(probe, 'Normal-WB', 'Device-nGnRE', patched)).toBe('any');
    }
  });

  test('nothing is fetched from a window that is not cacheable', () => {
    for (const { name } of arm64.stage1Types)
      for (const stage2 of ['Normal-NC', 'Device-nGnRE'])
        expect(word('fetch', name, stage2, patched)).toBe('fetch-abort');
    expect(word('fetch', 'Normal-NC', 'Normal-WB', patched)).toBe('ok');
    expect(word('fetch', 'Device-nGnRnE', 'Normal-WB', patched)).toBe('any');
  });

  test('tags need MTE, a stage 1 that asks for them and a stage 2 that lets it', () => {
    const mte: Platform = { ...patched, mte: true };
    expect(KVM_STAGE2.map((stage2) => word('tag-retention', 'Normal-Tagged', stage2, mte))).toEqual([
      'ok',
      'wrong-data',
      'wrong-data',
    ]);
    for (const { name } of arm64.stage1Types) expect(word('tag-retention', name, 'Normal-WB', mte)).toBe('wrong-data');
    expect(word('tag-retention', 'Normal-Tagged', 'Normal-WB', patched)).toBe('not-present');
  });

  test('data arrives, stage 1 is what was asked for, and time is only measured', () => {
    for (const { name } of arm64.stage1Types) {
      for (const stage2 of KVM_STAGE2) {
        for (const probe of ['data-read', 'data-write', 'stage1-self-check'] as const)
          expect(word(probe, name, stage2, stock)).toBe('ok');
        for (const probe of ['store-bandwidth', 'load-latency'] as const)
          expect(word(probe, name, stage2, stock)).toBe('measurement');
      }
    }
  });
});

describe('what Linux does', () => {
  // The host's mapping and stage 2: vfio_pci_core_mmap(), drivers/pci/mmap.c and kvm_s2_fault_compute_prot().
  test.each([
    ['cookie', 'default', 'Device-nGnRnE', 'Normal-NC'],
    ['cookie', 'device', 'Device-nGnRnE', 'Device-nGnRE'],
    ['cookie', 'wc', 'Normal-NC', 'Normal-NC'],
    ['legacy', 'default', 'Device-nGnRnE', 'Normal-NC'],
    ['sysfs', 'device', 'Device-nGnRE', 'Device-nGnRE'],
    ['sysfs', 'wc', 'Normal-NC', 'Device-nGnRE'],
    ['memory', 'wc', 'Normal-WB', 'Normal-WB'],
  ] as const)('%s, %s: host %s, stage 2 %s', (source, attribute, hostVma, stage2) => {
    expect(arm64.hostVma(attribute, source)).toBe(hostVma);
    expect(arm64.stage2(attribute, source, patched)).toBe(stage2);
  });

  test.each(['device', 'wc'] as const)('the legacy offset gives no %s', (attribute) => {
    const source: Source = 'legacy';
    expect(() => arm64.hostVma(attribute, source)).toThrow(/expected default/);
    expect(() => arm64.stage2(attribute, source, patched)).toThrow(RangeError);
  });
});

describe('effective types', () => {
  test('say so where it depends on what nobody knows', () => {
    expect(arm64.effective(stage1('Normal-NC'), 'Normal-WB', { ...patched, fwb: null })).toBe('Normal-WB or Normal-NC');
    expect(arm64.effective(stage1('Normal-NC'), 'Normal-NC', { ...patched, fwb: null })).toBe('Normal-NC');
  });

  test('a strict window leaves a driver no Normal memory', () => {
    expect(arm64.stage1Types.map((type) => arm64.effective(type, 'Device-nGnRE', patched))).toEqual([
      'Device-nGnRnE',
      'Device-nGnRE',
      'Device-nGnRE',
      'Device-nGnRE',
      'Device-nGnRE',
    ]);
  });

  test('a default window leaves everything but caching to the driver', () => {
    expect(arm64.stage1Types.map((type) => arm64.effective(type, 'Normal-NC', patched))).toEqual([
      'Device-nGnRnE',
      'Device-nGnRE',
      'Device-GRE',
      'Normal-NC',
      'Normal-NC',
    ]);
  });
});
