import { describe, expect, test } from 'vitest';
import { ATTRIBUTES, PROBES, SOURCES, arm64, usualMtrr, x86 } from '../memattr/index.ts';
import type { Attribute, Platform, Prediction, ProbeName, Source, Stage1Type } from '../memattr/index.ts';
import { X86_STAGE2, nameOfX86Stage2 } from '../memattr/x86/stage2.ts';

const base: Platform = { fwb: null, faultForwarding: false, mte: false };
const intel: Platform = { ...base, nestedPaging: 'ept', mtrr: 'UC' };
const amd: Platform = { ...base, nestedPaging: 'npt', mtrr: 'UC' };
const PLATFORMS = [
  base,
  { ...base, nestedPaging: null, mtrr: null },
  intel,
  amd,
  { ...amd, mtrr: 'WB' },
  { ...amd, mtrr: null },
] as const satisfies readonly Platform[];

function stage1(name: string): Stage1Type {
  const found = x86.stage1Types.find((type) => type.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

function word(probe: ProbeName, type: string, stage2: string, platform: Platform): string {
  const prediction: Prediction = x86.predict(probe, stage1(type), stage2, platform);
  return prediction.kind === 'outcome' ? prediction.outcome : prediction.kind;
}

/** What each type of the guest's becomes in a window, in the order UC, UC-, WC, WP, WT, WB. */
function row(attribute: Attribute, source: Source, platform: Platform): string {
  const stage2 = x86.stage2(attribute, source, platform);
  return x86.stage1Types.map((type) => x86.effective(type, stage2, platform)).join(' ');
}

describe('what Linux does', () => {
  test.each([
    ['cookie', 'default', 'UC-', 'EPT UC', 'NPT WB'],
    ['cookie', 'device', 'UC', 'EPT UC IPAT', 'NPT UC'],
    ['cookie', 'wc', 'WC', 'EPT WC', 'NPT WC'],
    ['legacy', 'default', 'UC-', 'EPT UC', 'NPT WB'],
    ['sysfs', 'default', 'UC-', 'EPT UC', 'NPT WB'],
    ['sysfs', 'device', 'UC-', 'EPT UC', 'NPT WB'],
    ['sysfs', 'wc', 'WC', 'EPT UC', 'NPT WB'],
    ['memory', 'default', 'WB', 'EPT WB IPAT', 'NPT WB'],
    ['memory', 'wc', 'WB', 'EPT WB IPAT', 'NPT WB'],
  ] as const)('%s, %s: host %s, %s, %s', (source, attribute, hostVma, ept, npt) => {
    expect([
      x86.hostVma(attribute, source),
      x86.stage2(attribute, source, intel),
      x86.stage2(attribute, source, amd),
      x86.stage2(attribute, source, base),
    ]).toEqual([hostVma, ept, npt, 'unknown']);
  });

  test.each(['device', 'wc'] as const)('the legacy offset gives no %s', (attribute) => {
    expect(() => x86.hostVma(attribute, 'legacy')).toThrow(/expected default/);
    expect(() => x86.stage2(attribute, 'legacy', amd)).toThrow(RangeError);
    expect(() => x86.strictness(attribute, 'legacy', amd)).toThrow(RangeError);
  });
});

describe('what a guest gets', () => {
  test.each([
    ['default', intel, 'UC UC WC UC UC UC'],
    ['device', intel, 'UC UC UC UC UC UC'],
    ['wc', intel, 'UC WC WC UC UC WC'],
    ['default', amd, 'UC UC WC UC UC UC'],
    ['device', amd, 'UC UC WC UC UC UC'],
    ['wc', amd, 'UC WC WC UC UC WC'],
  ] as const)('in a %s window of a BAR, $nestedPaging', (attribute, platform, expected) => {
    expect(x86.stage1Types.map(({ name }) => name).join(' ')).toBe('UC UC- WC WP WT WB');
    expect(row(attribute, 'cookie', platform)).toBe(expected);
  });

  test('in ordinary memory', () => {
    expect(row('default', 'memory', intel)).toBe('WB WB WB WB WB WB');
    expect(row('default', 'memory', { ...amd, mtrr: usualMtrr('memory') })).toBe('CD CD WC+ WP WT WB');
  });

  test('where nobody knows the MTRRs, or anything', () => {
    expect(x86.effective(stage1('UC'), 'NPT UC', { ...amd, mtrr: null })).toBe('UC or CD');
    expect(x86.effective(stage1('WC'), 'NPT WC', { ...amd, mtrr: null })).toBe('WC');
    expect(x86.effective(stage1('WC'), 'EPT UC', { ...intel, mtrr: null })).toBe('WC');
    expect(x86.effective(stage1('WB'), 'unknown', base)).toBe('unknown');
  });

  test('of a type that no PAT can hold', () => {
    const reserved: Stage1Type = { name: 'PAT 2', encoding: 2 };
    expect(x86.effective(reserved, 'EPT UC', intel)).toBe('reserved');
    expect(x86.predict('data-read', reserved, 'EPT UC', intel)).toEqual({
      kind: 'any',
      why: expect.stringContaining('#GP'),
    });
  });
});

describe('strictness', () => {
  test('device is strict with EPT', () => {
    expect(x86.strictness('device', 'cookie', intel)).toEqual({
      strict: true,
      why: 'whatever a guest asks for, it gets UC',
    });
  });

  test('device is not strict with NPT, for WC alone, whatever the MTRRs say', () => {
    for (const mtrr of ['UC', 'WC', 'WP', 'WT', 'WB', null] as const) {
      const { strict, why } = x86.strictness('device', 'cookie', { ...amd, mtrr });
      expect(strict).toBe(false);
      // A WC MTRR relaxes no more than that either: the sum of UC- and UC is UC.
      expect(why).toMatch(/^a guest that asks for WC gets WC: AMD's nested paging .*table 15-19/);
    }
  });

  test('nothing else is strict, and sysfs not where it is called device', () => {
    for (const platform of PLATFORMS) {
      for (const source of ['cookie', 'sysfs', 'memory'] as const) {
        const strict = ATTRIBUTES.filter((attribute) => x86.strictness(attribute, source, platform).strict);
        expect(strict).toEqual(source === 'cookie' && platform === intel ? ['device'] : []);
      }
    }
    expect(x86.strictness('device', 'cookie', base).why).toMatch(/neither EPT nor NPT/);
    expect(x86.strictness('default', 'cookie', intel).why).toBe('a guest that asks for WC gets WC');
    expect(x86.strictness('wc', 'cookie', intel).why).toBe(
      'a guest that asks for UC- gets WC, a guest that asks for WC gets WC, a guest that asks for WB gets WC',
    );
  });

  test('on arm64 stage-2 Device is strict, from wherever it comes, and nothing else is', () => {
    const strict = (source: Source): readonly Attribute[] =>
      (source === 'legacy' ? (['default'] as const) : ATTRIBUTES).filter(
        (attribute) => arm64.strictness(attribute, source, { ...base, fwb: true }).strict,
      );
    expect(SOURCES.map(strict)).toEqual([['device'], [], ['default', 'device', 'wc'], []]);
    expect(arm64.strictness('device', 'cookie', base).why).toBe(
      'whatever a guest asks for, it gets Device-nGnRnE or Device-nGnRE',
    );
    expect(arm64.strictness('default', 'cookie', base).why).toContain('asks for Device-GRE gets Device-GRE');
  });
});

describe('every cell', () => {
  const cells = PLATFORMS.flatMap((platform) =>
    x86.stage1Types.flatMap((type) =>
      X86_STAGE2.map((stage2) => ({ platform, type, stage2: nameOfX86Stage2(stage2) })),
    ),
  );

  test('has an effective type and a prediction with a reason', () => {
    expect(cells).toHaveLength(6 * 6 * 17);
    expect(
      cells.filter(
        ({ platform, type, stage2 }) =>
          x86.effective(type, stage2, platform) === '' ||
          x86.probes.some((probe) => x86.predict(probe, type, stage2, platform).why.length < 10),
      ),
    ).toEqual([]);
  });

  test('is ok or measured: no memory type of x86 makes an access fault', () => {
    const measured = new Set<ProbeName>(['store-bandwidth', 'load-latency', 'timing-class']);
    for (const { platform, type, stage2 } of cells) {
      for (const probe of x86.probes) {
        const expected = measured.has(probe) ? ['measurement'] : ['ok', 'any'];
        expect(expected).toContain(word(probe, type.name, stage2, platform));
      }
    }
  });

  test('of what KVM programs has an outcome for every probe that is no measurement, unless KVM may emulate it', () => {
    for (const [platform, open] of [
      [intel, []],
      [amd, []],
      [base, ['nt-load', 'direct-store']],
    ] as const) {
      for (const source of ['cookie', 'sysfs', 'memory'] as const) {
        for (const attribute of ATTRIBUTES) {
          const stage2 = x86.stage2(attribute, source, platform);
          for (const { name } of x86.stage1Types)
            expect(x86.probes.filter((probe) => word(probe, name, stage2, platform) === 'any')).toEqual(open);
        }
      }
    }
  });

  test('is open where a guest’s WC would look past the host’s caches', () => {
    const open = cells
      .filter(({ platform, type, stage2 }) => word('data-read', type.name, stage2, platform) === 'any')
      .map(({ type, stage2 }) => `${type.name} ${stage2}`);
    expect(new Set(open)).toEqual(new Set(['WC EPT WP', 'UC- EPT WP', 'WC EPT WT', 'WC EPT WB']));
  });
});

const why = (probe: ProbeName, type: string, stage2: string, platform: Platform): string =>
  x86.predict(probe, stage1(type), stage2, platform).why;

describe('probes', () => {
  test('are those that the guest has, in the order of their numbers', () => {
    expect(x86.probes).toEqual([
      'stage1-self-check',
      'unaligned-load',
      'unaligned-store',
      'atomic',
      'data-read',
      'data-write',
      'store-bandwidth',
      'load-latency',
      'nt-store',
      'nt-load',
      'direct-store',
      'cache-flush',
      'fence-visibility',
      'locked-access',
      'timing-class',
    ]);
    expect(PROBES.filter((probe) => !x86.probes.includes(probe) && !arm64.probes.includes(probe))).toEqual([]);
  });

  test('of the other architecture are refused', () => {
    expect(() => x86.predict('zero-block', stage1('UC'), 'EPT UC', intel)).toThrow(/x86 has no probe zero-block/);
    expect(() => arm64.predict('nt-store', { name: 'Normal-NC', encoding: 0x44 }, 'Normal-NC', base)).toThrow(
      /arm64 has no probe nt-store/,
    );
  });

  test('say what comes with the type', () => {
    expect(why('locked-access', 'WB', 'EPT WB IPAT', intel)).toMatch(/cache line/);
    expect(why('locked-access', 'WB', 'EPT UC', intel)).toMatch(/locks the bus/);
    expect(why('nt-store', 'WC', 'EPT UC', intel)).toMatch(/buffers/);
    expect(why('nt-store', 'UC-', 'EPT UC', intel)).toMatch(/ordinary store/);
    expect(why('nt-store', 'UC', 'NPT WB', { ...amd, mtrr: 'WB' })).toMatch(/ordinary store/);
    expect(why('nt-load', 'WC', 'NPT WB', { ...amd, mtrr: 'WB' })).toMatch(/whole line/);
    expect(why('nt-load', 'WB', 'EPT UC', intel)).toMatch(/ordinary load/);
  });

  test('refuse a stage-2 name that x86 has not', () => {
    expect(() => x86.predict('data-read', stage1('UC'), 'mixed', intel)).toThrow(RangeError);
    expect(() => x86.effective(stage1('UC'), 'Normal-NC', intel)).toThrow(RangeError);
  });
});
