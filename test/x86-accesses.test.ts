/** What AMD's CPUs record of a guest's accesses: from a sample to a verdict. No such CPU was used: samples are made up. */
import { afterEach, describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { excludedByRecord, isRecorded, mayBeRecorded, recordedAs, x86 } from '../memattr/index.ts';
import type { AccessCounts, Platform, Stage1Type } from '../memattr/index.ts';
import { weighed } from '../tool/report/worth.ts';
import { judge } from '../tool/verify/judge.ts';
import type { JudgedCheck } from '../tool/verify/judge.ts';
import { planChecks, isSampled, runsOf } from '../tool/verify/plan.ts';
import { sampleAccesses, samplerOf } from '../tool/verify/read-back/accesses.ts';
import { pageSize } from '../vmm/sys/libc.ts';
import { PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, sampleThisThread, takeSamples } from '../vmm/sys/perf.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { libcPort } from '../vmm/sys/libc.ts';
import { FakeMachine } from './fake-machine.ts';
import { x86Report } from './report-sample.ts';
import { measuredCheck } from './measured-check.ts';

const [LOAD, STORE, WC, UC, PHYSICAL_VALID] = [1n, 2n, 1n << 13n, 1n << 14n, 1n << 18n];
const NPT: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging: 'npt', mtrr: 'UC' };

function may(type: string): readonly boolean[] {
  return [mayBeRecorded(type, 'uncached'), mayBeRecorded(type, 'combining')];
}

function stage1Of(name: string): Stage1Type {
  const found = x86.stage1Named(name);
  if (found === null) throw new RangeError(name);
  return found;
}

describe('one access', () => {
  test.each([
    [LOAD | UC, 'uncached'],
    [STORE | UC, 'uncached'],
    [STORE | WC, 'combining'],
    [LOAD | WC, 'combining'],
    // Not as a manual has it: then the stricter one.
    [STORE | WC | UC, 'uncached'],
    [LOAD, null],
    // Neither a load nor a store: the bits mean nothing.
    [UC | WC, null],
    [0n, null],
    [LOAD | (1n << 12n) | (1n << 15n), null],
  ])('with IbsOpData3 0x%x is recorded as %s', (opData3, as) => {
    expect(recordedAs(opData3)).toBe(as);
  });

  test('of each type is recorded as the manuals say, and as anything where they say nothing', () => {
    for (const type of ['UC', 'UC-']) expect(may(type)).toEqual([true, false]);
    expect(may('WC')).toEqual([false, true]);
    for (const type of ['WP', 'WT', 'WB']) expect(may(type)).toEqual([false, false]);
    for (const type of ['CD', 'WC+', 'unknown', 'UC or WC']) expect(may(type)).toEqual([true, true]);
    expect(['UC', 'WC', 'UC or WC'].every(isRecorded)).toBe(true);
    expect(['WB', 'CD', 'WC+', 'unknown', 'UC or CD', 'WC or WB'].some(isRecorded)).toBe(false);
  });

  test('excludes the types of stage 2 with which it would have been another', () => {
    // APM vol. 2 table 15-19: nothing overrules a guest's WC, and a guest's UC- is WC under WC alone.
    expect(excludedByRecord(x86, NPT, stage1Of('WC'), 'combining')).toEqual([]);
    expect(excludedByRecord(x86, NPT, stage1Of('UC-'), 'combining')).toEqual([
      'NPT UC',
      'NPT UC-',
      'NPT WP',
      'NPT WT',
      'NPT WB',
    ]);
    expect(excludedByRecord(x86, NPT, stage1Of('UC-'), 'uncached')).toEqual(['NPT WC']);
  });
});

const PAGE = 4096;

/** A ring of one page of data. */
function ring(records: readonly Uint8Array[], from = 0): Uint8Array {
  const bytes = new Uint8Array(2 * PAGE);
  const view = new DataView(bytes.buffer);
  let at = from;
  for (const byte of records.flatMap((record) => [...record])) {
    bytes[PAGE + (at % PAGE)] = byte;
    at += 1;
  }
  view.setBigUint64(1024, BigInt(at), true);
  view.setBigUint64(1032, BigInt(from), true);
  return bytes;
}

function record(type: number, body: Uint8Array, size = 8 + body.byteLength): Uint8Array {
  const bytes = new Uint8Array(8 + body.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint16(6, size, true);
  bytes.set(body, 8);
  return bytes;
}

function sample(raw: Uint8Array, claimed = raw.byteLength): Uint8Array {
  const body = new Uint8Array(4 + raw.byteLength);
  new DataView(body.buffer).setUint32(0, claimed, true);
  body.set(raw, 4);
  return record(9, body);
}

describe('the ring of samples', () => {
  const one = Uint8Array.of(1, 2, 3, 4);
  const two = Uint8Array.of(5, 6, 7, 8, 9, 10, 11, 12);

  test('gives samples, without records of another kind, and each once', () => {
    const bytes = ring([sample(one), record(2, new Uint8Array(16)), sample(two)]);
    expect(takeSamples(bytes, PAGE)).toEqual([one, two]);
    expect(takeSamples(bytes, PAGE)).toEqual([]);
  });

  test('goes on at its start', () => {
    for (const from of [PAGE - 1, PAGE - 8, PAGE - 13, 5 * PAGE - 20])
      expect(takeSamples(ring([sample(one), sample(two)], from), PAGE)).toEqual([one, two]);
  });

  test('ends where it makes no sense', () => {
    expect(takeSamples(ring([sample(one), record(9, new Uint8Array(8), 0), sample(two)]), PAGE)).toEqual([one]);
    expect(takeSamples(ring([sample(one, 5), record(9, new Uint8Array(0)), sample(two)]), PAGE)).toEqual([two]);
  });

  test('of a thread that this kernel samples', () => {
    // PERF_TYPE_SOFTWARE: the CPU's clock, every 10 µs. It has nothing raw, of which the kernel makes 4 bytes.
    const samples = sampleThisThread(libcPort, { type: 1, period: 10_000 }, pageSize());
    try {
      expect(samples.stop()).toEqual([]);
      samples.start();
      let sum = 0;
      for (let index = 0; index < 2e6; index += 1) sum = (sum + index) % 7;
      expect(sum).toBeLessThan(7);
      const taken = samples.stop();
      expect(taken.length).toBeGreaterThan(0);
      expect(taken.every((raw) => raw.byteLength === 4)).toBe(true);
      expect(samples.stop()).toEqual([]);
    } finally {
      samples.close();
    }
    expect([PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE]).toEqual([0x2400, 0x2401]);
  });
});

/** As struct perf_ibs_data. */
function ibs(opData3: bigint, physical: bigint): Uint8Array {
  const raw = new Uint8Array(4 + 7 * 8);
  const view = new DataView(raw.buffer);
  view.setBigUint64(4 + 4 * 8, opData3, true);
  view.setBigUint64(4 + 6 * 8, physical, true);
  return raw;
}

const load = LOAD | UC | PHYSICAL_VALID;

function counted(...raws: readonly Uint8Array[]): AccessCounts {
  return samplerOf({ start: () => {}, stop: () => raws }).stop(0x1000n, 0x1000n);
}

function loadsAt(physical: bigint): number {
  return counted(ibs(load, physical)).uncached;
}

describe('the samples of a window', () => {
  test('are those of its physical bytes', () => {
    expect([0xfffn, 0x1000n, 0x1fffn, 0x2000n].map(loadsAt)).toEqual([0, 1, 1, 0]);
    // Bits above the address.
    expect(loadsAt(0x1800n | (1n << 52n))).toBe(1);
  });

  test('are counted by what they are', () => {
    const store = STORE | WC | PHYSICAL_VALID;
    const here = [load, store, store, LOAD | PHYSICAL_VALID, PHYSICAL_VALID | UC].map((one) => ibs(one, 0x1800n));
    expect(counted(...here)).toEqual({ uncached: 1, combining: 2 });
  });

  test('without an address, or shorter than a driver writes them, are none', () => {
    expect(counted(ibs(LOAD | UC, 0x1800n), ibs(load, 0x1800n).subarray(0, 59), new Uint8Array(4))).toEqual({
      uncached: 0,
      combining: 0,
    });
  });
});

function refusing(name: 'EACCES' | 'EPERM' | 'EMFILE'): () => never {
  return () => {
    throw new SysError('perf_event_open', ERRNO[name]);
  };
}

describe('a machine', () => {
  let machine: FakeMachine | null = null;
  afterEach(() => machine?.remove());
  const PMU = '/sys/bus/event_source/devices/ibs_op/type';

  test('without the PMU says so', () => {
    machine = new FakeMachine();
    expect(sampleAccesses(machine.port, new Scope())).toEqual({
      kind: 'unavailable',
      why: 'this kernel or CPU has no instruction-based sampling (no PMU ibs_op)',
    });
  });

  test('that refuses says what it takes', () => {
    machine = new FakeMachine();
    machine.file(PMU, '9\n');
    for (const name of ['EACCES', 'EPERM'] as const)
      expect(sampleAccesses(machine.port, new Scope(), refusing(name))).toMatchObject({
        kind: 'unavailable',
        why: expect.stringContaining('CAP_PERFMON') as string,
      });
    expect(sampleAccesses(machine.port, new Scope(), refusing('EMFILE'))).toMatchObject({
      why: 'the kernel refuses to sample (perf_event_open: EMFILE)',
    });
  });

  test('whose PMU has no number samples nothing: 0 is another event', () => {
    machine = new FakeMachine();
    for (const text of ['', 'x', '0\n', '-1', '1.5']) {
      machine.file(PMU, text);
      expect(sampleAccesses(machine.port, new Scope(), refusing('EMFILE'))).toEqual({
        kind: 'unavailable',
        why: `${PMU} has no number of a PMU`,
      });
    }
  });

  test('with it samples until the scope ends', () => {
    machine = new FakeMachine();
    machine.file(PMU, '9\n');
    const [scope, said]: [Scope, unknown[]] = [new Scope(), []];
    const sampling = sampleAccesses(machine.port, scope, (_port, event) => {
      said.push(event);
      return { start: () => void said.push('start'), stop: () => [], close: () => void said.push('close') };
    });
    if (sampling.kind !== 'sampled') throw new Error(sampling.why);
    sampling.sampler.start();
    scope.close();
    expect(said).toEqual([{ type: 9, period: 1024 }, 'start', 'close']);
  });
});

function judged(accesses: AccessCounts | null, change: Partial<JudgedCheck> = {}): ReturnType<typeof judge> {
  const check = measuredCheck({
    probe: 'store-bandwidth',
    stage1: { name: 'UC-', encoding: 7 },
    stage2Predicted: 'NPT WC',
    accesses,
    ...change,
  });
  return judge(check, []);
}

describe('the verdict of what was recorded', () => {
  test('is a match where all that was sampled is as the type has it', () => {
    expect(judged({ combining: 3, uncached: 0 })).toEqual({ observed: 'ok', verdict: 'match', note: null });
    expect(judged({ combining: 0, uncached: 1 }, { effective: 'UC' }).verdict).toBe('match');
    expect(judged({ combining: 1, uncached: 1 }, { effective: 'UC or WC' }).verdict).toBe('match');
  });

  test('is a mismatch where one is not', () => {
    const wrong = judged({ combining: 9, uncached: 1 });
    expect(wrong.verdict).toBe('mismatch');
    expect(wrong.note).toBe(
      'of the accesses that were sampled, the CPU recorded 9 as write-combining and 1 as uncacheable; an access to WC memory is not recorded so',
    );
    for (const effective of ['UC', 'WB', 'WT', 'WP'])
      expect(judged({ combining: 1, uncached: 0 }, { effective }).verdict).toBe('mismatch');
  });

  test('is none without samples, where no manual says it, on an emulator, and where nothing was asked', () => {
    expect(judged({ combining: 0, uncached: 0 })).toMatchObject({
      verdict: 'unobservable',
      note: 'no access to the window was sampled that the CPU recorded as uncached or combining',
    });
    expect(judged({ combining: 0, uncached: 2 }, { effective: 'CD' })).toMatchObject({
      verdict: 'unobservable',
      note: expect.stringMatching(/how CD is recorded, no manual says$/) as string,
    });
    const why = 'figures mean something on hardware only';
    expect(judged({ combining: 0, uncached: 2 }, { emulator: 'qemu-10.0.2' })).toMatchObject({
      verdict: 'unobservable',
      note: why,
    });
    expect(judged(null)).toMatchObject({ verdict: 'unobservable', note: why });
    expect(judged({ combining: 1, uncached: 0 }, { record: { cell: 0, outcome: 'other-fault' } }).verdict).toBe(
      'mismatch',
    );
  });
});

test('a match counts as evidence of the type, and nothing else does', () => {
  const report = x86Report('npt');
  const first = report.checks.find(({ probe, stage1 }) => probe === 'store-bandwidth' && stage1 === 'UC-');
  if (first === undefined) throw new Error('no such check');
  const { speaksOf: _speaksOf, excludes: _excludes, ...bare } = first;
  const worth = (change: object) => weighed({ ...report, checks: [{ ...bare, ...change }] }).checks[0];
  const counts = { combining: 0, uncached: 4 };
  expect(worth({ verdict: 'match', note: null, accesses: counts })).toMatchObject({
    speaksOf: 'type',
    excludes: ['NPT WC'],
  });
  for (const change of [{ verdict: 'mismatch', accesses: counts }, { verdict: 'unobservable', accesses: counts }, {}])
    expect(worth(change)).toMatchObject({ speaksOf: 'function', excludes: [] });
  expect(worth({ verdict: 'match', accesses: { combining: 0, uncached: 0 } })).toMatchObject({ speaksOf: 'function' });
});

test('what is sampled has a guest of its own, as a sample does not say of which cell it is', () => {
  const windows = [
    { attribute: 'wc', access: 'mapped' },
    { attribute: 'device', access: 'trapped' },
  ] as const;
  const checks = planChecks(x86, NPT, 'cookie', windows);
  const sampled = checks.filter(isSampled);
  expect(sampled.length).toBe(2 * x86.stage1Types.length);
  expect(sampled.every(({ window }) => window === 0)).toBe(true);
  const runs = runsOf(checks, true);
  expect(runs.filter((run) => run.some(isSampled))).toEqual(sampled.map((check) => [check]));
  expect(runs.flat().length).toBe(checks.length);
  expect(runsOf(checks)).toHaveLength(1);
});
