import { describe, expect, test } from 'vitest';
import { PROBES, TRAPPED, arm64, errata, normalTagged, x86 } from '../memattr/index.ts';
import type { Platform, Prediction, ProbeName, Stage1Type } from '../memattr/index.ts';

const plain: Platform = { fwb: true, faultForwarding: true, mte: false };
const amd: Platform = { ...plain, fwb: null, nestedPaging: 'npt', mtrr: 'UC' };
const intel: Platform = { ...amd, nestedPaging: 'ept' };

function word(prediction: Prediction): string {
  return prediction.kind === 'outcome' ? prediction.outcome : prediction.kind;
}

function typeOf(name: string): Stage1Type {
  const type = arm64.stage1Types.find((candidate) => candidate.name === name);
  if (type === undefined) throw new Error(name);
  return type;
}

describe('a trapped device window is strict', () => {
  test.each([
    ['arm64', arm64, plain, 'cookie', 'Device-nGnRnE'],
    ['arm64 by sysfs', arm64, plain, 'sysfs', 'Device-nGnRE'],
    ['AMD, where no mapped one is', x86, amd, 'cookie', 'UC'],
    ['AMD by sysfs', x86, amd, 'sysfs', 'UC'],
    ['Intel', x86, intel, 'cookie', 'UC'],
    ['x86 with no nested paging', x86, { ...amd, nestedPaging: null }, 'cookie', 'UC'],
  ] as const)('on %s', (_name, model, platform, source, type) => {
    expect(model.trapped.effective('device', source, platform)).toBe(type);
    expect(model.trapped.strictness('device', source, platform)).toEqual({
      strict: true,
      why: expect.stringContaining(type),
    });
  });

  test('which stage 2 cannot make it on AMD', () => {
    expect(x86.strictness('device', 'cookie', amd).strict).toBe(false);
  });

  test.each([
    ['ordinary memory in its place', arm64, plain, 'memory'],
    ['ordinary memory in its place on x86', x86, { ...amd, mtrr: 'WB' }, 'memory'],
    ['UC- that an MTRR may turn into WC', x86, { ...amd, mtrr: null }, 'sysfs'],
    ['UC- that an MTRR turns into WC', x86, { ...amd, mtrr: 'WC' }, 'sysfs'],
  ] as const)('but not on %s', (_name, model, platform, source) => {
    expect(model.trapped.strictness('device', source, platform).strict).toBe(false);
  });
});

function trapped(probe: ProbeName, encoding: number): Prediction {
  return arm64.trapped.predict(probe, { name: 'own', encoding }, plain);
}

describe('arm64', () => {
  test('says nothing of an encoding that promises nothing', () => {
    for (const probe of arm64.trapped.probes)
      expect(trapped(probe, 0x02)).toEqual({
        kind: 'any',
        why: 'MAIR attribute 0x02 is UNPREDICTABLE: 0b0000dd1x has no meaning',
      });
  });

  test('takes exclusives and atomics to work where both cache levels are Write-Back', () => {
    for (const probe of ['exclusive', 'atomic'] as const)
      expect([0xff, 0xf4, 0x4f, 0x44].map((byte) => word(trapped(probe, byte)))).toEqual([
        'vm-killed',
        'any',
        'any',
        'any',
      ]);
  });
});

describe('arm64 hands over what a syndrome describes', () => {
  test.each<[ProbeName, string, string, string]>([
    ['stage1-self-check', 'ok', 'ok', 'ok'],
    ['unaligned-load', 'alignment-fault', 'ok', 'ok'],
    ['unaligned-store', 'alignment-fault', 'ok', 'ok'],
    ['unaligned-load-simd', 'alignment-fault', 'vm-killed', 'vm-killed'],
    ['unaligned-store-pair', 'alignment-fault', 'vm-killed', 'vm-killed'],
    ['simd-half-aligned', 'alignment-fault', 'vm-killed', 'vm-killed'],
    ['zero-block', 'alignment-fault', 'vm-killed', 'vm-killed'],
    ['exclusive', 'any', 'any', 'vm-killed'],
    ['atomic', 'any', 'any', 'vm-killed'],
    ['fetch', 'fetch-abort', 'fetch-abort', 'fetch-abort'],
    ['data-read', 'ok', 'ok', 'ok'],
    ['tag-retention', 'not-present', 'not-present', 'not-present'],
    ['load-latency', 'measurement', 'measurement', 'measurement'],
  ])('%s: %s on Device, %s on Normal-NC, %s on Normal-WB', (probe, device, nonCacheable, writeBack) => {
    expect(
      ['Device-nGnRnE', 'Normal-NC', 'Normal-WB'].map((stage1) =>
        word(arm64.trapped.predict(probe, typeOf(stage1), plain)),
      ),
    ).toEqual([device, nonCacheable, writeBack]);
  });

  test('and whether tags do in a VM with MTE is open', () => {
    expect(word(arm64.trapped.predict('tag-retention', normalTagged, { ...plain, mte: true }))).toBe('any');
  });
});

test('all that arm64 can be asked is asked, and of x86 all but what would only time exits', () => {
  expect(arm64.trapped.probes).toEqual(arm64.probes);
  expect(x86.probes.filter((probe) => !x86.trapped.probes.includes(probe))).toEqual(['timing-class']);
});

describe('every trapped cell', () => {
  test.each([
    ['arm64', arm64, plain],
    ['x86', x86, amd],
  ] as const)('of %s has a prediction with a reason, and no other probe has one', (_name, model, platform) => {
    for (const stage1 of model.stage1Types) {
      for (const probe of model.trapped.probes)
        expect(model.trapped.predict(probe, stage1, platform).why.length).toBeGreaterThan(10);
      for (const probe of PROBES.filter((candidate) => !model.trapped.probes.includes(candidate)))
        expect(() => model.trapped.predict(probe, stage1, platform)).toThrow(RangeError);
    }
  });

  test('of x86 works, but for what is measured and what KVM may not know', () => {
    const words = x86.trapped.probes.map(
      (probe) => [probe, new Set(x86.stage1Types.map((type) => word(x86.trapped.predict(probe, type, amd))))] as const,
    );
    const others = new Map<string, string>([
      ...['nt-load', 'direct-store'].map((probe) => [probe, 'any'] as const),
      ...['store-bandwidth', 'load-latency'].map((probe) => [probe, 'measurement'] as const),
    ]);
    for (const [probe, found] of words) expect([probe, ...found]).toEqual([probe, others.get(probe) ?? 'ok']);
  });
});

test("the emulator's missing alignment faults are excused where accesses are trapped, and only there", () => {
  const erratum = errata.find(({ id }) => id === 'qemu-device-alignment-trapped');
  const check = {
    probe: 'zero-block',
    stage1: 'Device-nGnRE',
    stage2: TRAPPED,
    effective: 'Device-nGnRnE',
    predicted: 'alignment-fault',
    observed: 'vm-killed',
  } as const;
  expect(erratum?.matches(check)).toBe(true);
  expect(erratum?.matches({ ...check, stage2: 'Device-nGnRE' })).toBe(false);
  expect(erratum?.matches({ ...check, probe: 'unaligned-load' })).toBe(false);
  expect(erratum?.matches({ ...check, observed: 'wrong-data' })).toBe(false);
});
