/** From what was predicted, programmed and observed to a report's windows and checks. */
import { describe, expect, test } from 'vitest';
import { MODELS } from '../memattr/index.ts';
import type { Outcome, Platform, Prediction, Stage1Type } from '../memattr/index.ts';
import type { Check } from '../tool/report/report.ts';
import { checkOf, describeWindow, inOrder } from '../tool/verify/evidence.ts';
import type { CheckFacts, WindowFacts } from '../tool/verify/evidence.ts';
import type { GuestRecord } from '../tool/verify/guest/records.ts';
import type { PlannedCheck } from '../tool/verify/plan.ts';
import type { ObservedCheck } from '../tool/verify/run-checks.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';

const { arm64, x86 } = MODELS;
const ARM: Platform = { fwb: true, faultForwarding: true, mte: false };
const NPT: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging: 'npt', mtrr: 'UC' };
const MIB = 1n << 20n;

const WINDOW = {
  bar: 2,
  offset: MIB,
  length: 2n * MIB,
  attribute: 'wc',
  access: 'mapped',
  gpa: 0x1_0000_0000n,
} as OpenWindow;

const FACTS: WindowFacts = {
  model: arm64,
  source: { kind: 'cookie' },
  platform: ARM,
  stage2: { kind: 'unavailable', why: 'hidden' },
  windowExits: [],
  pageSize: 4096,
};

function range(memoryType: string | null, start = 0n, end = 2n * MIB, level = 2) {
  return { start: WINDOW.gpa + start, end: WINDOW.gpa + end, level, memoryType };
}

function read(...ranges: readonly ReturnType<typeof range>[]): WindowFacts {
  return { ...FACTS, stage2: { kind: 'read', ranges } };
}

function programmed(facts: WindowFacts): unknown {
  return describeWindow(facts, 0, WINDOW, undefined).stage2;
}

describe('a window', () => {
  test('of which nothing was read back has what is predicted', () => {
    expect(describeWindow(FACTS, 0, WINDOW, undefined)).toEqual({
      bar: 2,
      offset: 1 << 20,
      length: 2 << 20,
      attribute: 'wc',
      hostVma: { predicted: 'Normal-NC', programmed: null },
      stage2: { predicted: 'Normal-NC', programmed: null, blockSize: null },
      strictness: arm64.strictness('wc', 'cookie', ARM),
    });
  });

  test('has what was read back beside it', () => {
    const host = { programmed: 'WC', reserved: ['WC', 'UC-'], observed: 'Normal' } as const;
    const described = describeWindow(read(range('Normal-NC')), 0, WINDOW, host);
    expect(described.hostVma).toEqual({ predicted: 'Normal-NC', ...host });
    expect(described.stage2).toEqual({ predicted: 'Normal-NC', programmed: 'Normal-NC', blockSize: 2 << 20 });
    const silent = { programmed: null, reserved: null, observed: null };
    expect(describeWindow(FACTS, 0, WINDOW, silent).hostVma).toEqual({ predicted: 'Normal-NC', programmed: null });
  });

  test('of several types is mixed, and one that is not mapped, or of no type, is nothing', () => {
    const two = read(range('Normal-NC', 0n, MIB, 3), range('Device-nGnRE', MIB, 2n * MIB, 3));
    expect(programmed(two)).toMatchObject({ programmed: 'mixed', blockSize: 4096 });
    expect(programmed(read())).toMatchObject({ programmed: null, blockSize: null });
    expect(programmed(read(range(null)))).toMatchObject({ programmed: null, blockSize: 2 << 20 });
  });

  test('that traps is trapped where stage 2 maps nothing, and counts its exits', () => {
    const trapped: OpenWindow = { ...WINDOW, access: 'trapped' };
    const described = describeWindow({ ...read(), windowExits: [3, 7] }, 1, trapped, undefined);
    expect([described.stage2.programmed, described.trapped]).toEqual(['trapped', { exits: 7 }]);
    const mapped = describeWindow(read(range('Normal-NC')), 1, trapped, undefined);
    expect([mapped.stage2.programmed, mapped.trapped]).toEqual(['Normal-NC', { exits: 0 }]);
    expect(describeWindow(FACTS, 0, trapped, undefined).stage2.programmed).toBeNull();
  });

  test('on x86 has what the MTRRs say of it, and memory in a BAR’s place says that it is', () => {
    const facts: WindowFacts = { ...FACTS, model: x86, platform: NPT };
    expect(describeWindow(facts, 0, WINDOW, undefined)).toMatchObject({ mtrr: 'UC' });
    expect(describeWindow({ ...facts, platform: { ...NPT, mtrr: null } }, 0, WINDOW, undefined)).toMatchObject({
      mtrr: null,
    });
    expect(describeWindow(FACTS, 0, WINDOW, undefined)).not.toHaveProperty('mtrr');
    expect(describeWindow(FACTS, 0, WINDOW, undefined)).not.toHaveProperty('source');
    expect(describeWindow({ ...FACTS, source: { kind: 'memory' } }, 0, WINDOW, undefined).source).toBe('memory');
  });
});

const KNOWN: CheckFacts = { model: arm64, platform: ARM, ticksPerSecond: null, emulator: null };
const NC: Stage1Type = { name: 'Normal-NC', encoding: 0x44 };

function planned(change: Partial<PlannedCheck> = {}): PlannedCheck {
  return {
    window: 4,
    stage1: NC,
    probe: 'unaligned-load',
    stage2: 'Normal-NC',
    effective: 'Normal-NC',
    prediction: { kind: 'outcome', outcome: 'ok', why: 'Normal' },
    offset: 0n,
    registers: false,
    ...change,
  };
}

function saw(outcome: Outcome, values: readonly [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n]): GuestRecord {
  return { cell: 0, outcome: outcome as 'ok', syndrome: 0n, address: 0n, values };
}

function observed(change: Partial<ObservedCheck> = {}, check: Partial<PlannedCheck> = {}): ObservedCheck {
  return { check: planned(check), observation: { kind: 'record', record: saw('ok') }, busLocks: null, ...change };
}

function checked(one: ObservedCheck, programmed: string | null = null, facts: Partial<CheckFacts> = {}): Check {
  return checkOf({ ...KNOWN, ...facts }, one, programmed);
}

describe('a check', () => {
  test('that is as predicted has what it needs and no more', () => {
    expect(checked(observed(), 'Normal-NC')).toEqual({
      window: 4,
      stage1: 'Normal-NC',
      probe: 'unaligned-load',
      effective: 'Normal-NC',
      predicted: 'ok',
      observed: 'ok',
      verdict: 'match',
      note: null,
    });
    expect(checked(observed({}, { offset: 4096n })).offset).toBe(4096);
  });

  test('has the type that follows from what was programmed, or none that anybody knows', () => {
    const effective = (programmed: string | null): string => checked(observed(), programmed).effective;
    expect([effective(null), effective('Device-nGnRE'), effective('mixed'), effective('reserved')]).toEqual([
      'Normal-NC',
      'Device-nGnRE',
      'unknown',
      'unknown',
    ]);
    // What was planned stands where it is what was programmed.
    expect(checked(observed({}, { effective: 'planned' }), 'Normal-NC').effective).toBe('planned');
    const broken = { ...arm64, effective: () => expect.fail('another error') };
    expect(() => checked(observed(), 'Device-nGnRE', { model: broken })).toThrow('another error');
  });

  test.each<[string, Prediction, Partial<Check>]>([
    ['one outcome', { kind: 'outcome', outcome: 'ok', why: '' }, { predicted: 'ok' }],
    [
      'several',
      { kind: 'one-of', outcomes: ['ok', 'external-abort', 'vm-killed'], why: '' },
      { predicted: 'ok', alternatives: ['external-abort', 'vm-killed'] },
    ],
    ['none of several', { kind: 'one-of', outcomes: [], why: '' }, { predicted: 'any' }],
    ['any', { kind: 'any', why: '' }, { predicted: 'any' }],
    ['a measurement', { kind: 'measurement', why: '' }, { predicted: 'measurement' }],
  ])('of which %s is predicted says so', (_what, prediction, expected) => {
    const { predicted, alternatives } = checked(observed({}, { prediction }));
    expect({ predicted, ...(alternatives && { alternatives }) }).toEqual(expected);
  });

  test('that ended the VM says where, if nobody had predicted it', () => {
    const killed: ObservedCheck['observation'] = { kind: 'vm-killed', why: 'at gpa 0x1000' };
    expect(checked(observed({ observation: killed }))).toMatchObject({
      observed: 'vm-killed',
      verdict: 'mismatch',
      note: 'Normal. at gpa 0x1000',
    });
    const prediction: Prediction = { kind: 'outcome', outcome: 'vm-killed', why: 'trapped' };
    expect(checked(observed({ observation: killed }, { prediction }))).toMatchObject({ verdict: 'match', note: null });
  });

  test('that was answered otherwise says why that was not expected, and no more', () => {
    const record = { kind: 'record', record: saw('alignment-fault') } as const;
    expect(checked(observed({ observation: record }))).toMatchObject({ verdict: 'mismatch', note: 'Normal' });
  });

  test('that was not made says why', () => {
    expect(checked(observed({ observation: { kind: 'skipped', why: 'no such file' } }))).toMatchObject({
      observed: null,
      verdict: 'skipped',
      note: 'no such file',
    });
  });

  test('has bus locks, and the type of the CPU’s own walk, where there are any', () => {
    expect(checked(observed({ busLocks: 0, combined: 0x44 }))).toMatchObject({ busLocks: 0, combined: 'Normal-NC' });
    expect(checked(observed({ combined: 0x04 }))).toMatchObject({ combined: 'Device-nGnRE', verdict: 'mismatch' });
    for (const none of ['busLocks', 'combined', 'accesses', 'timing', 'measured', 'offset'])
      expect(checked(observed({ combined: null, accesses: null }))).not.toHaveProperty(none);
  });

  test('knows the errata of its emulator', () => {
    const fault: Prediction = { kind: 'outcome', outcome: 'alignment-fault', why: 'Device' };
    const zva = observed({}, { probe: 'zero-block', prediction: fault });
    expect(checked(zva, null, { emulator: 'qemu-10.0.2' })).toMatchObject({ verdict: 'erratum' });
    expect(checked(zva).verdict).toBe('mismatch');
  });
});

const measurement: Prediction = { kind: 'measurement', why: 'hardware only' };
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

function measured(values: readonly [bigint, bigint, bigint, bigint], known: number | null = null): unknown {
  const observation = { kind: 'record', record: saw('ok', values) } as const;
  const one = observed({ observation }, { probe: 'load-latency', prediction: measurement });
  return checked(one, null, { ticksPerSecond: known }).measured;
}

describe('a measurement', () => {
  test('is an amount in ticks of a clock, the guest’s or the one that the host knows', () => {
    expect(measured([4096n, 77n, 1000n, 9n], 5)).toEqual({ amount: 4096, ticks: 77, ticksPerSecond: 1000 });
    expect(measured([4096n, 77n, 0n, 9n], 5)).toEqual({ amount: 4096, ticks: 77, ticksPerSecond: 5 });
    expect(measured([4096n, 77n, 0n, 9n])).toEqual({ amount: 4096, ticks: 77, ticksPerSecond: 0 });
  });

  test('has no number that JSON cannot hold', () => {
    const most = Number.MAX_SAFE_INTEGER;
    expect(measured([MAX_SAFE, MAX_SAFE + 1n, (1n << 64n) - 1n, 0n])).toEqual({
      amount: most,
      ticks: most,
      ticksPerSecond: most,
    });
  });

  test('is none without a record that is ok, nor of another probe', () => {
    const kind = { probe: 'load-latency', prediction: measurement } as const;
    expect(checked(observed({ observation: { kind: 'record', record: saw('other-fault') } }, kind))).not.toHaveProperty(
      'measured',
    );
    expect(checked(observed({ observation: { kind: 'vm-killed', why: '' } }, kind))).not.toHaveProperty('measured');
    expect(checked(observed({}, { probe: 'load-latency' }))).not.toHaveProperty('measured');
    expect(checked(observed({}, { ...kind, probe: 'timing-class' }))).not.toHaveProperty('measured');
  });
});

function interval(low: bigint, high: bigint): bigint {
  return (high << 32n) | low;
}

describe('what x86 hardware shows', () => {
  const WC: Stage1Type = { name: 'WC', encoding: 1 };
  const facts = { model: x86, platform: NPT };
  const timing = (
    change: Partial<PlannedCheck>,
    record = saw('ok', [10n, 10n, 10n, 60n].map((each) => interval(each, each)) as never),
  ): Check =>
    checked(
      observed(
        { observation: { kind: 'record', record } },
        { probe: 'timing-class', prediction: measurement, stage1: WC, stage2: 'NPT WC', effective: 'WC', ...change },
      ),
      null,
      facts,
    );

  test('timing is of the window beside the same place uncached', () => {
    expect(timing({})).toMatchObject({
      verdict: 'match',
      timing: { loads: { low: 1, high: 1 }, stores: { low: 6, high: 6 } },
    });
    expect(timing({ effective: 'UC' }).verdict).toBe('mismatch');
    expect(timing({ probe: 'store-bandwidth' })).not.toHaveProperty('timing');
    expect(timing({}, saw('other-fault'))).not.toHaveProperty('timing');
    // Figures that no clock gives.
    expect(timing({}, saw('ok'))).toMatchObject({ verdict: 'unobservable' });
    expect(timing({}, saw('ok'))).not.toHaveProperty('timing');
  });

  test('timing is none of a probe that faulted, or that was not made', () => {
    const values = [10n, 10n, 10n, 60n].map((each) => interval(each, each)) as never;
    expect(timing({}, saw('other-fault', values))).not.toHaveProperty('timing');
    const skipped = { observation: { kind: 'skipped', why: 'no clock' } } as const;
    const planned = { probe: 'timing-class', prediction: measurement, stage1: WC, stage2: 'NPT WC' } as const;
    expect(checked(observed(skipped, planned), null, facts)).toMatchObject({ verdict: 'skipped', note: 'no clock' });
  });

  test('a model without an uncached type is not asked for timing', () => {
    expect(checked(observed({}, { probe: 'timing-class', prediction: measurement })).verdict).toBe('unobservable');
  });

  test('records of accesses stand in the check, and decide', () => {
    const accesses = { combining: 0, uncached: 2 };
    const one = observed(
      { accesses },
      { probe: 'load-latency', prediction: measurement, stage1: WC, stage2: 'NPT WC', effective: 'WC' },
    );
    expect(checked(one, null, facts)).toMatchObject({ accesses, verdict: 'mismatch' });
  });
});

function make(window: number, stage1: string, probe: Check['probe'], effective: string): Check {
  return { window, stage1, probe, effective } as Check;
}

test('checks stand as they were planned, what was not planned last', () => {
  const checks = [
    make(1, 'WC', 'unaligned-load', 'd'),
    make(9, 'WC', 'unaligned-load', 'e'),
    make(0, 'WC', 'unaligned-store', 'b'),
    make(0, 'UC', 'unaligned-load', 'a'),
    make(0, 'WC', 'unaligned-store', 'c'),
  ];
  const order = ['0 UC unaligned-load', '0 WC unaligned-store', '1 WC unaligned-load'];
  expect(inOrder(checks, order).map(({ effective }) => effective)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(checks[0]?.effective).toBe('d');
});
