/** What a report proves, line by line of a small one that is made up. */
import { describe, expect, test } from 'vitest';
import type { Check, Coverage, Report, ReportWindow } from '../tool/report/report.ts';
import { exitCodeOf, partialCoverage, proofOf, shownBy, worstOf } from '../tool/report/proof.ts';
import { BUS_LOCKING, platformOf, weighed } from '../tool/report/worth.ts';

function window(change: Partial<ReportWindow> = {}): ReportWindow {
  return {
    bar: 2,
    offset: 0,
    length: 8192,
    attribute: 'wc',
    hostVma: { predicted: 'Normal-NC', programmed: null },
    stage2: { predicted: 'Normal-NC', programmed: null, blockSize: null },
    ...change,
  };
}

function check(change: Partial<Check> = {}): Check {
  return {
    window: 0,
    stage1: 'Normal-NC',
    probe: 'unaligned-load',
    effective: 'Normal-NC',
    predicted: 'ok',
    observed: 'ok',
    verdict: 'match',
    note: null,
    ...change,
  };
}

function report(change: Partial<Report> = {}): Report {
  return {
    schema: 'wcvmm.report/1',
    command: 'verify',
    arch: 'arm64',
    platform: { kind: 'native', emulator: null, kernel: '7.3', cookies: true, fwb: true, faultForwarding: true },
    device: { address: '0000:01:00.0', id: '1af4:1110', source: 'cookie' },
    windows: [
      window(),
      window({ control: true, stage2: { predicted: 'Normal-WB', programmed: 'Normal-WB', blockSize: 4096 } }),
    ],
    checks: [],
    limits: [],
    summary: { match: 0, mismatch: 0, unobservable: 0, erratum: 0, skipped: 0 },
    ...change,
  };
}

const READ = { predicted: 'Normal-NC', programmed: 'Normal-NC', blockSize: 4096 };
const WRONG = { predicted: 'Normal-NC', programmed: 'Device-nGnRE', blockSize: 4096 };
const NOT_READ = { predicted: 'Normal-NC', programmed: null, blockSize: null };

function code(windows: readonly Partial<ReportWindow>[], ...checks: readonly Partial<Check>[]): number {
  return exitCodeOf(report({ windows: windows.map(window), checks: checks.map(check) }));
}

describe('exit code', () => {
  test('0 where each window was read back, or something showed its type', () => {
    expect(code([{ stage2: READ }], {})).toBe(0);
    expect(code([{}], { speaksOf: 'type' })).toBe(0);
    expect(code([{}], { combined: 'Normal-NC' })).toBe(0);
    expect(code([{ stage2: NOT_READ, trapped: { exits: 1 } }], {})).toBe(0);
    expect(code([{}])).toBe(0);
  });

  test('1 for what is wrong, in a check or in what was read back', () => {
    expect(code([{ stage2: READ }], { verdict: 'mismatch' }, {})).toBe(1);
    expect(code([{ stage2: WRONG }])).toBe(1);
    expect(code([{ stage2: READ }, { hostVma: { predicted: 'UC', programmed: 'WB' } }], {})).toBe(1);
    expect(
      code([{ stage2: READ, hostVma: { predicted: 'Normal-NC', programmed: null, observed: 'Device' } }], {}),
    ).toBe(1);
  });

  test('2 where no check was made', () => {
    expect(code([{ stage2: READ }], { verdict: 'skipped' }, { verdict: 'skipped' })).toBe(2);
    expect(code([{ stage2: READ }], { verdict: 'skipped' }, {})).toBe(0);
  });

  test('3 where nothing shows the type of some window', () => {
    expect(code([{}], {})).toBe(3);
    expect(code([{}], { speaksOf: 'function' })).toBe(3);
    expect(code([{}], { speaksOf: 'type', verdict: 'erratum' })).toBe(3);
    expect(code([{}], { combined: 'Normal-NC', verdict: 'unobservable' })).toBe(3);
    expect(code([{ stage2: READ }, {}], { window: 0, speaksOf: 'type' })).toBe(3);
    expect(code([{ stage2: NOT_READ, trapped: { exits: 0 } }], {})).toBe(3);
    // Of the control all is known; it is no window of the device.
    expect(exitCodeOf(report({ checks: [check({ window: 1, speaksOf: 'type' })] }))).toBe(3);
  });

  test('of several is the worst', () => {
    expect([worstOf([]), worstOf([0, 0]), worstOf([0, 3]), worstOf([3, 1, 0]), worstOf([1, 2, 3])]).toEqual([
      0, 0, 3, 1, 2,
    ]);
  });
});

describe('what is shown', () => {
  test('of a subject is what matches, of all that could contradict', () => {
    const verdicts = ['match', 'match', 'mismatch', 'unobservable', 'erratum', 'skipped'] as const;
    const checks = verdicts
      .map((verdict) => check({ verdict, speaksOf: 'type' }))
      .concat(check({ speaksOf: 'stage1' }));
    expect(shownBy(checks, 'type')).toEqual({ shown: 2, of: 3 });
    expect(shownBy(checks, 'stage1')).toEqual({ shown: 1, of: 1 });
    expect(shownBy(checks, 'function')).toEqual({ shown: 0, of: 0 });
  });

  test('counts windows and checks of the device alone', () => {
    const made = [
      check({ speaksOf: 'type' }),
      check({ speaksOf: 'kvm-policy', verdict: 'mismatch' }),
      check({ speaksOf: 'function' }),
      check({ speaksOf: 'stage1', combined: 'Normal-NC' }),
      check({ speaksOf: 'stage1', combined: 'Device-GRE', verdict: 'mismatch' }),
      check({ speaksOf: 'stage1', combined: 'Device-GRE', verdict: 'erratum' }),
      check({ window: 1, speaksOf: 'type', combined: 'Normal-WB' }),
    ];
    const proof = proofOf(report({ checks: made }));
    expect(proof.checks).toEqual({
      type: { shown: 1, of: 1 },
      stage1: { shown: 1, of: 2 },
      'kvm-policy': { shown: 0, of: 1 },
      function: { shown: 1, of: 1 },
    });
    expect(proof.combined).toEqual({ shown: 1, of: 2 });
    expect(proof.notProven).toEqual([]);
  });

  test('is what was read back as predicted, and what the host’s loads showed', () => {
    const windows = [
      window({ stage2: READ, hostVma: { predicted: 'Normal-NC', programmed: 'Normal-NC', observed: 'Normal' } }),
      window({ stage2: WRONG, hostVma: { predicted: 'Normal-NC', programmed: null, observed: 'Device' } }),
      window({ stage2: NOT_READ, trapped: { exits: 2 } }),
      window({ stage2: NOT_READ, trapped: { exits: 0 } }),
    ];
    const proof = proofOf(report({ windows }));
    expect(proof.stage2).toEqual({ shown: 2, of: 4 });
    expect(proof.hostVma).toEqual({ shown: 1, of: 4 });
    expect(proof.hostLoads).toEqual({ shown: 1, of: 2 });
    expect(proof.notProven).toEqual([1, 3]);
  });

  test('is no trapped window that stage 2 maps all the same', () => {
    const windows = [window({ stage2: WRONG, trapped: { exits: 2 } })];
    expect(proofOf(report({ windows }))).toMatchObject({ stage2: { shown: 0, of: 1 }, notProven: [0] });
  });

  test('counts loads of the host that showed what is predicted, not the others', () => {
    const shown = { predicted: 'Normal-NC', programmed: null };
    const [right, wrong] = (['Normal', 'Device'] as const).map((observed) => ({ hostVma: { ...shown, observed } }));
    const windows = [right, right, wrong].map(window);
    expect(proofOf(report({ windows })).hostLoads).toEqual({ shown: 2, of: 3 });
  });
});

function covered(...all: readonly Partial<Coverage>[]): Report {
  const whole = { pageSize: 4096, pages: 2, touched: 2, unlike: 0, readBack: null };
  return report({ windows: all.map((coverage) => window({ coverage: { ...whole, ...coverage } })) });
}

describe('pages', () => {
  test('are summed, as far as a report says them', () => {
    expect(proofOf(report()).pages).toBeNull();
    expect(proofOf(covered({ pages: 5, touched: 3, unlike: 1 }, { readBack: 2 })).pages).toEqual({
      of: 7,
      touched: 5,
      unlike: 1,
      readBack: 2,
    });
    expect(proofOf(covered({}, {})).pages?.readBack).toBeNull();
  });

  test('that were not touched are said', () => {
    expect(partialCoverage(report())).toBeNull();
    expect(partialCoverage(covered({}, {}))).toBeNull();
    expect(partialCoverage(covered({}, { touched: 1 }))).toBe(
      '3 of 4 pages were touched: the first and the last of each window, and a few between. --whole touches every page',
    );
    const [first] = covered({ touched: 1 }).windows;
    expect(partialCoverage(report({ windows: [{ ...(first ?? window()), trapped: { exits: 1 } }] }))).toBeNull();
    expect(partialCoverage(report({ windows: [{ ...(first ?? window()), control: true }] }))).toBeNull();
  });
});

function apart(windows: readonly Partial<ReportWindow>[], ...checks: readonly Partial<Check>[]) {
  return proofOf(report({ windows: windows.map(window), checks: checks.map(check) })).notToldApart;
}

describe('types that nothing told apart', () => {
  const others = ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE', 'Normal-WB', 'as-stage-1'];

  test('are all of stage 2 but its own where nothing was seen', () => {
    expect(apart([{}])).toEqual([{ type: 'Normal-NC', from: others }]);
    expect(apart([{ stage2: WRONG }])[0]?.type).toBe('Device-nGnRE');
    expect(apart([{ stage2: { predicted: 'trapped', programmed: null, blockSize: null } }])).toEqual([]);
  });

  test('are fewer by what a check that matches excludes', () => {
    const excludes = others.slice(0, 4);
    const seen = { speaksOf: 'type', excludes } as const;
    expect(apart([{}], seen)).toEqual([{ type: 'Normal-NC', from: ['Normal-WB', 'as-stage-1'] }]);
    for (const worthless of [{ verdict: 'mismatch' }, { speaksOf: 'stage1' }, { window: 1 }] as const)
      expect(apart([{}, { control: true }], { ...seen, ...worthless })).toEqual([{ type: 'Normal-NC', from: others }]);
    expect(apart([{}], { speaksOf: 'type', excludes: others })).toEqual([]);
    expect(apart([{}], { speaksOf: 'type' })).toEqual([{ type: 'Normal-NC', from: others }]);
  });

  test('of two windows of one type are those of either', () => {
    const both = apart(
      [{}, {}],
      { speaksOf: 'type', excludes: others },
      { window: 1, speaksOf: 'type', excludes: others.slice(1) },
    );
    expect(both).toEqual([{ type: 'Normal-NC', from: ['Device-nGnRnE'] }]);
  });
});

function mte(change: Partial<Check>): boolean {
  return platformOf(report({ checks: [check({ probe: 'tag-retention', ...change })] }), 0).mte;
}

describe('the platform of a window', () => {
  test('is as the report says, and nothing where it does not', () => {
    expect(platformOf(report(), 0)).toEqual({
      fwb: true,
      faultForwarding: true,
      mte: false,
      nestedPaging: null,
      mtrr: null,
    });
    const { faultForwarding: _faultForwarding, ...older } = report().platform;
    expect(platformOf(report({ platform: older }), 0).faultForwarding).toBeNull();
    const x86 = report({
      platform: { ...older, nestedPaging: 'npt' },
      windows: [window({ mtrr: 'WC' }), window({ mtrr: 'XX' })],
    });
    expect([0, 1, 2].map((index) => platformOf(x86, index).mtrr)).toEqual(['WC', null, null]);
    expect(platformOf(x86, 0).nestedPaging).toBe('npt');
  });

  test('has MTE where a tag was kept or lost', () => {
    expect([mte({}), mte({ observed: 'wrong-data' })]).toEqual([true, true]);
    for (const none of [{ observed: null }, { observed: 'not-present' }, { window: 1 }, { probe: 'fetch' }] as const)
      expect(mte(none)).toBe(false);
  });
});

function one(change: Partial<Check>, of: Partial<Report> = {}): Check | undefined {
  return weighed(report({ checks: [check(change)], ...of })).checks[0];
}

describe('weighed', () => {
  test('a check has its worth, and what it had before is kept', () => {
    expect(one({})).toMatchObject({ speaksOf: 'type', verdict: 'match' });
    expect(one({})?.excludes).toEqual(['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE']);
    expect(one({ speaksOf: 'function', excludes: ['later'] })).toMatchObject({
      speaksOf: 'function',
      excludes: ['later'],
    });
    expect(one({ speaksOf: 'function' })?.speaksOf).toBe('type');
    expect(one({ excludes: [] })?.speaksOf).toBe('type');
  });

  test('of no window, or of a stage 1 that nobody knows, is worth nothing', () => {
    for (const change of [{ window: 7 }, { stage1: 'Normal-XX' }])
      expect(one(change)).toMatchObject({ speaksOf: 'function', excludes: [], verdict: 'match' });
  });

  test('a match of a type that is not known is none', () => {
    const note = 'nobody can tell what stage 2 is here, so no memory type was predicted that this could confirm';
    for (const effective of ['', 'unknown', 'UC or unknown'])
      expect(one({ effective })).toMatchObject({ verdict: 'unobservable', note });
    expect(one({ effective: 'unknown', verdict: 'mismatch' })?.verdict).toBe('mismatch');
  });

  test('a match to which an emulator is blind is none', () => {
    const platform = { ...report().platform, emulator: 'qemu-10.0.2' };
    expect(one({ probe: 'zero-block' }, { platform })).toMatchObject({
      verdict: 'unobservable',
      note: expect.stringMatching(/^it would be the same whatever the type: QEMU /),
    });
    expect(one({ probe: 'zero-block' })?.verdict).toBe('match');
  });

  test('the summary counts anew', () => {
    const all = weighed(report({ checks: [check(), check({ effective: 'unknown' }), check({ verdict: 'erratum' })] }));
    expect(all.summary).toEqual({ match: 1, mismatch: 0, unobservable: 1, erratum: 1, skipped: 0 });
  });

  test('the same check of two windows is weighed by each window', () => {
    const windows = [window(), window({ stage2: { predicted: 'Device-nGnRE', programmed: null, blockSize: null } })];
    const fault = {
      window: 1,
      effective: 'Device-nGnRE',
      predicted: 'alignment-fault',
      observed: 'alignment-fault',
    } as const;
    const { checks } = weighed(report({ windows, checks: [check(), check(fault)] }));
    expect(checks.map(({ excludes }) => excludes)).toEqual([
      ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE'],
      ['Normal-NC', 'Normal-WB', 'as-stage-1'],
    ]);
  });

  test('bus locks are of probes that lock', () => {
    expect([...BUS_LOCKING]).toEqual(['atomic', 'locked-access']);
  });
});
