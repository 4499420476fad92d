import { describe, expect, test } from 'vitest';
import { judge, rulesOf } from '../tool/fleet/judge.ts';
import type { Judgement } from '../tool/fleet/judge.ts';
import type { Profile } from '../tool/fleet/profile.ts';
import type { Report } from '../tool/report/report.ts';
import { NOW, amdReport, armReport, origin, profile, profileWith } from './fleet-sample.ts';
import { benchReport, changeChecks, unreadReport } from './report-sample.ts';

function judged(report: Report, by: Profile = profile, listed?: string): Judgement {
  return judge(report, rulesOf(by, undefined, NOW), listed);
}

const asExpected = { state: 'as expected', reasons: [] };

describe('what a host is', () => {
  test('as expected: both kinds, found by what the report says, or by the list', () => {
    expect(judged(armReport())).toEqual({ kind: 'arm.metal', ...asExpected });
    expect(judged(amdReport())).toEqual({ kind: 'amd.metal', ...asExpected });
    expect(judged(armReport(), profile, 'arm.metal')).toEqual({ kind: 'arm.metal', ...asExpected });
  });

  test.each<[string, Report, string, Profile?]>([
    [
      'another stage 2',
      stage2(armReport(), 1, 'Device-nGnRE'),
      'bar2:64K-2M=wc: stage 2 is Device-nGnRE, not Normal-NC',
    ],
    [
      'what was predicted and programmed is not what the profile wants',
      armReport(),
      'wc: stage 2 is Normal-NC, expected Device-nGnRE',
      profileWith({
        attributes: {
          device: { stage2: 'Device-nGnRE' },
          wc: { stage2: 'Device-nGnRE' },
          default: { stage2: 'Normal-NC' },
        },
      }),
    ],
    [
      'a check that is a mismatch',
      changeChecks(armReport(), ({ probe, window, stage1 }) =>
        probe === 'unaligned-load' && window === 0 && stage1 === 'Normal-NC'
          ? { observed: 'ok', verdict: 'mismatch', note: 'wrong' }
          : undefined,
      ),
      '1 check is not as predicted',
    ],
    [
      'another device',
      armReport({ device: { address: null, id: 'ffff:0001', source: 'cookie' } }),
      'device is ffff:0001',
    ],
    ['another source', armReport({ device: { address: null, id: '1af4:1110', source: 'sysfs' } }), 'mapped by sysfs'],
    ['strict where it must not be', strict(amdReport(), true), 'device: strict, expected not strict'],
    ['a hazard', { ...armReport(), hazards: [{ id: 'bad-nc' }] } as Report, 'silicon hazard bad-nc'],
    [
      'a hazard without a name',
      { ...armReport(), hazards: ['?'] } as unknown as Report,
      'silicon hazard without a name',
    ],
  ])('differs: %s', (_, report, why, by) => {
    const { state, reasons } = judged(report, by);
    expect(state).toBe('differs');
    expect(reasons.join('\n')).toContain(why);
  });

  test('a hazard that the profile accepts', () => {
    const report = { ...armReport(), hazards: [{ id: 'bad-nc' }] } as Report;
    expect(judged(report, profileWith({ hazards: ['bad-nc'] }))).toMatchObject(asExpected);
  });

  test('differs: the list says another kind than the machine is', () => {
    const { state, reasons } = judged(amdReport(), profile, 'arm.metal');
    expect(state).not.toBe('as expected');
    expect(reasons.join()).not.toBe('');
    const arm = judged(armReport({ origin: origin({ machine: 'Other' }) }), profile, 'arm.metal');
    expect(arm).toMatchObject({
      state: 'differs',
      reasons: ['not a arm.metal: machine is Other, expected Example M1'],
    });
  });
});

describe('unknown never passes', () => {
  test.each<[string, Report, string, Profile?, string?]>([
    [
      'a kind that the profile has not',
      armReport({ origin: origin({ machine: 'New' }) }),
      'unknown kind: it matches none',
    ],
    ['a kind that only the list has', armReport(), 'unknown kind: the profile has no new.metal', profile, 'new.metal'],
    ['a name that objects have a property of', armReport(), 'unknown kind', profile, 'constructor'],
    ['a machine that does not say what it is', armReport({ origin: origin({ machine: null }) }), 'unknown kind'],
    [
      'a kind that matches everything, by having nothing to match',
      armReport(),
      'unknown kind',
      profileWith({ match: {} }),
    ],
    ['two kinds at once', amdReport(), 'it matches arm.metal and amd.metal', profileWith({ match: { arch: 'x86' } })],
    ['an old report', armReport({ origin: origin({ time: '2026-11-20T11:59:59Z' }) }), 'stale: older than 24h'],
    ['one of tomorrow', armReport({ origin: origin({ time: '2026-11-22T11:00:00Z' }) }), 'in the future'],
    ['one that does not say when', armReport({ origin: origin({ time: 'lately' }) }), 'does not say when'],
    ['nothing read back, nothing observed', unread(), 'not proven'],
    ['measurements', { ...benchReport(), origin: origin() }, 'a report of bench'],
    ['memory', armReport({ device: { address: null, id: null, source: 'memory' } }), 'of memory instead of a BAR'],
    [
      'an emulator, where the profile wants the machine',
      armReport(),
      'emulated by qemu',
      profileWith({ emulated: false }),
    ],
    ['a model of its own', armReport({ origin: origin({ asked: ['verify', '--predict', 'x'] }) }), '--predict'],
    ['no window', armReport({ windows: [], checks: [] }), 'it has no window'],
    ['an attribute that was not verified', without('wc'), 'wc: no window has it'],
    [
      'an attribute that the profile does not know',
      armReport(),
      'wc: the profile does not say',
      profileWith({ attributes: { device: { stage2: 'Device-nGnRE' }, default: { stage2: 'Normal-NC' } } }),
    ],
    [
      'a strictness that the report does not have',
      armReport(),
      'does not say whether it is strict',
      profileWith({
        attributes: {
          device: { stage2: 'Device-nGnRE', strict: true },
          wc: { stage2: 'Normal-NC' },
          default: { stage2: 'Normal-NC' },
        },
      }),
    ],
    ['less evidence: observed', armReport(), 'fewer than 1000 checks', profileWith({ evidence: { observed: 1000 } })],
    ['less evidence: pages', armReport(), 'not every page', profileWith({ evidence: { whole: true } })],
    [
      'less evidence: read back',
      unprogrammed(),
      'stage 2 was not read back',
      profileWith({ evidence: { programmed: true } }),
    ],
    ['skipped', changeChecks(unprogrammed(), () => ({ verdict: 'skipped', note: 'x', observed: null })), 'not proven'],
  ])('not verified: %s', (_, report, why, by, listed) => {
    const { state, reasons } = judged(report, by, listed);
    expect(reasons.join('\n')).toContain(why);
    expect(state).toBe('not verified');
  });

  test('a report without origin is neither young nor of a known machine', () => {
    const { origin: _, ...report } = armReport();
    expect(judged(report, profile, 'arm.metal')).toMatchObject({ state: 'not verified' });
    expect(judged(report)).toMatchObject({ state: 'not verified' });
  });

  test('what the guest saw is enough where the profile asks for no more, and the control of that', () => {
    expect(judged(unprogrammed())).toMatchObject(asExpected);
    expect(judged(armReport(), profileWith({ evidence: { observed: 1, programmed: true } }))).toMatchObject(asExpected);
  });

  test('a report that is old is not what differs', () => {
    const old = stage2(armReport({ origin: origin({ time: '2020-01-01T00:00:00Z' }) }), 1, 'Device-nGnRE');
    expect(judged(old)).toMatchObject({ state: 'not verified' });
  });
});

function stage2(report: Report, index: number, programmed: string | null): Report {
  const windows = report.windows.map((window, at) =>
    at === index ? { ...window, stage2: { ...window.stage2, programmed } } : window,
  );
  return { ...report, windows };
}

function unprogrammed(): Report {
  const report = armReport();
  return {
    ...report,
    windows: report.windows.map((one) => Object.assign({}, one, { stage2: { ...one.stage2, programmed: null } })),
  };
}

function unread(): Report {
  return { ...unreadReport(), origin: origin() };
}

function strict(report: Report, isStrict: boolean): Report {
  const windows = report.windows.map((one) => ({ ...one, strictness: { strict: isStrict, why: 'so' } }));
  return { ...report, windows };
}

function without(attribute: string): Report {
  const report = armReport();
  const index = report.windows.findIndex((one) => one.attribute === attribute);
  const windows = report.windows.map((one, at) => (at === index ? { ...one, attribute: 'device' as const } : one));
  return armReport({
    windows: windows.map((one) =>
      one.attribute === 'device'
        ? Object.assign({}, one, { stage2: { ...one.stage2, programmed: null, predicted: 'Device-nGnRE' } })
        : one,
    ),
    checks: report.checks.filter(({ window }) => window !== index),
  });
}
