/** What the checks of a report are worth, also of one that was written before that was counted. */
import { describe, expect, test } from 'vitest';
import { formatReport } from '../tool/report/json.ts';
import { proofLines } from '../tool/report/proof-text.ts';
import { proofOf } from '../tool/report/proof.ts';
import { summarise } from '../tool/report/report.ts';
import type { Check, Report, ReportWindow } from '../tool/report/report.ts';
import { parseReport } from '../tool/report/schema.ts';
import { weighed } from '../tool/report/worth.ts';
import { changeChecks, sampleReport, x86Report } from './report-sample.ts';

/** As a version wrote it that did not weigh its checks. */
function unweighed(report: Report): Report {
  const checks = report.checks.map((check): Check => {
    const { speaksOf: _speaksOf, excludes: _excludes, ...others } = check;
    const blind = check.note?.startsWith('it would be the same') === true;
    return blind ? { ...others, verdict: 'match', note: null } : others;
  });
  return { ...report, checks, summary: summarise(checks) };
}

describe('an old report', () => {
  const old = unweighed(sampleReport());

  test('is read, and counted anew', () => {
    const read = parseReport(formatReport(old));
    expect(old.summary.match).toBe(166);
    expect(read.summary.match).toBe(158);
    expect(proofOf(read).checks.type).toEqual({ shown: 36, of: 36 });
    expect(read).toEqual(sampleReport());
  });

  test('of hardware loses nothing to an emulator', () => {
    const platform = { ...old.platform, kind: 'native', emulator: null } as const;
    const read = parseReport(formatReport({ ...old, platform }));
    expect(read.summary.match).toBe(166);
    expect(proofOf(read).checks.type).toEqual({ shown: 44, of: 44 });
  });
});

describe('weighed', () => {
  test('is the same when it is done again', () => {
    for (const report of [sampleReport(), x86Report('ept')]) expect(weighed(report)).toEqual(report);
  });

  test('an effective type that nobody knows is no match, whatever was seen', () => {
    const report = weighed(changeChecks(sampleReport(), () => ({ effective: 'unknown' })));
    expect(report.summary.match).toBe(0);
    expect(report.summary.mismatch).toBe(0);
  });

  test('a mismatch stays one', () => {
    const report = changeChecks(sampleReport(), ({ probe }) =>
      probe === 'data-read' ? { verdict: 'mismatch', observed: 'wrong-data', effective: 'unknown' } : undefined,
    );
    expect(weighed(report).summary.mismatch).toBe(report.summary.mismatch);
    expect(report.summary.mismatch).toBeGreaterThan(0);
  });

  test('timing that names the type is evidence of it, against all that is timed otherwise', () => {
    const { speaksOf: _speaksOf, excludes: _excludes, ...bare } = timed('match');
    const report = weighed({ ...x86Report('ept'), checks: [bare] });
    expect(report.checks[0]).toMatchObject({ speaksOf: 'type', verdict: 'match' });
    expect(report.checks[0]?.excludes).toEqual([
      'EPT WC',
      'EPT WC IPAT',
      // UC- under WP is WC (SDM table 13-7).
      'EPT WP',
      'EPT WP IPAT',
      'EPT WT IPAT',
      'EPT WB IPAT',
    ]);
    const measured = { loads: { low: 0.9, high: 1.1 }, stores: { low: 0.9, high: 1.1 } };
    const beside = weighed({ ...x86Report('ept'), checks: [{ ...bare, timing: measured }] });
    expect(beside.checks[0]).toMatchObject({ speaksOf: 'type', verdict: 'match', excludes: ['EPT WC', 'EPT WP'] });
    const undecided = weighed({ ...x86Report('ept'), checks: [{ ...bare, verdict: 'unobservable' }] });
    expect(undecided.checks[0]).toMatchObject({ speaksOf: 'function', excludes: [] });
  });
});

test('timing that excludes no type is evidence of none, whatever was made of it', () => {
  const { speaksOf: _speaksOf, excludes: _excludes, ...bare } = timed('match');
  const timing = { loads: { low: 0.1, high: 9 }, stores: { low: 0.1, high: 9 } };
  const { checks } = weighed({ ...x86Report('ept'), checks: [{ ...bare, timing }] });
  expect(checks[0]).toMatchObject({ speaksOf: 'function', excludes: [] });
});

describe('a locked access', () => {
  const lock = x86Report('ept').checks.find(({ probe, stage1 }) => probe === 'locked-access' && stage1 === 'WB');
  const report = (change: Partial<Check>, emulator: string | null = null, stage2?: ReportWindow['stage2']): Report => {
    if (lock === undefined) throw new Error('no locked access');
    const { speaksOf: _speaksOf, excludes: _excludes, ...bare } = lock;
    const sample = x86Report('ept', emulator);
    const windows = sample.windows.map((window) => Object.assign({}, window, stage2 && { stage2 }));
    return weighed({ ...sample, windows, checks: [{ ...bare, ...change }] });
  };

  test('that locked the bus is evidence of its type', () => {
    expect(report({ busLocks: 3 }).checks[0]).toMatchObject({ speaksOf: 'type', excludes: ['EPT WB', 'EPT WB IPAT'] });
    expect(report({ busLocks: 0, verdict: 'mismatch' }).checks[0]).toMatchObject({ speaksOf: 'type' });
  });

  test('shows nothing where KVM reports none, on an emulator, and of other probes', () => {
    expect(report({}).checks[0]).toMatchObject({ speaksOf: 'function', excludes: [] });
    expect(report({ busLocks: 3 }, 'qemu-10.0.2').checks[0]).toMatchObject({ speaksOf: 'function', excludes: [] });
    expect(report({ busLocks: 3, probe: 'data-write' }).checks[0]).toMatchObject({ speaksOf: 'function' });
    expect(report({ busLocks: 3, effective: 'UC or WB' }).checks[0]).toMatchObject({ speaksOf: 'function' });
  });

  test('that KVM emulates, as the window is trapped, locks no bus', () => {
    const stage2 = { predicted: 'trapped', programmed: null, blockSize: null };
    expect(report({ busLocks: 3 }, null, stage2).checks[0]).toMatchObject({ speaksOf: 'function', excludes: [] });
  });
});

function timed(verdict: Check['verdict']): Check {
  const check = x86Report('ept').checks.find(({ probe, stage1 }) => probe === 'timing-class' && stage1 === 'UC-');
  if (check === undefined) throw new Error('no timing');
  return { ...check, verdict, note: null };
}

describe('proofOf', () => {
  test('is what the checks say, window by window', () => {
    const { notToldApart, stage2, hostVma, notProven } = proofOf(sampleReport());
    expect(notToldApart).toEqual([
      { type: 'Device-nGnRE', from: ['Device-nGnRnE', 'Device-nGRE', 'Device-GRE'] },
      { type: 'Normal-NC', from: ['Normal-WB', 'as-stage-1'] },
    ]);
    expect([stage2, hostVma, notProven]).toEqual([{ shown: 3, of: 3 }, { shown: 0, of: 3 }, []]);
  });

  test('counts no control', () => {
    const sample = sampleReport();
    const windows = sample.windows.map((window, index) =>
      index === 2 ? { ...window, control: true as const } : window,
    );
    expect(proofOf({ ...sample, windows }).checks.type).toEqual({ shown: 24, of: 24 });
    expect(proofOf({ ...sample, windows }).stage2).toEqual({ shown: 2, of: 2 });
  });

  test('a mismatch is one of those that could tell, and did not', () => {
    const wrong = changeChecks(sampleReport(), ({ window, speaksOf }) =>
      window === 0 && speaksOf === 'type' ? { verdict: 'mismatch', note: 'why' } : undefined,
    );
    expect(proofOf(wrong).checks.type).toEqual({ shown: 24, of: 36 });
  });
});

function told(change: Partial<Check> = {}): Report {
  return changeChecks(sampleReport(), ({ probe, effective }) =>
    probe === 'stage1-self-check' ? { combined: effective, ...change } : undefined,
  );
}

/** Nothing was read back, and nothing but the self-check was made. */
function hidden(report: Report): Report {
  return {
    ...report,
    windows: report.windows.map((window) =>
      Object.assign({}, window, { stage2: { ...window.stage2, programmed: null } }),
    ),
    checks: report.checks.filter(({ probe }) => probe === 'stage1-self-check'),
  };
}

function line(report: Report): unknown {
  return proofLines(report).find(({ name }) => name === 'combined');
}

describe('types that the CPU combined', () => {
  test('are counted, without errata', () => {
    expect(proofOf(sampleReport()).combined).toEqual({ shown: 0, of: 0 });
    expect(proofOf(told()).combined).toEqual({ shown: 15, of: 15 });
    expect(proofOf(told({ verdict: 'mismatch', note: 'why' })).combined).toEqual({ shown: 0, of: 15 });
    expect(proofOf(told({ verdict: 'erratum', note: 'why' })).combined).toEqual({ shown: 0, of: 0 });
  });

  test('prove what nothing else shows', () => {
    expect(proofOf(hidden(sampleReport())).notProven).toEqual([0, 1, 2]);
    expect(proofOf(hidden(told())).notProven).toEqual([]);
    expect(proofOf(hidden(told({ verdict: 'erratum', note: 'why' }))).notProven).toEqual([0, 1, 2]);
  });

  test('have a line of their own', () => {
    expect(line(sampleReport())).toBeUndefined();
    expect(line(told())).toMatchObject({ mark: '✓', text: expect.stringContaining('15 of 15') });
    expect(line(told({ verdict: 'mismatch', note: 'why' }))).toMatchObject({ mark: '✗' });
  });
});
