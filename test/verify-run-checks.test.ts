/** Guests made up: how runs follow each other, and what is made of what a guest leaves. */
import { describe, expect, test } from 'vitest';
import { MODELS } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { WcvmmError } from '../common/errors.ts';
import { ABI, LOG_AT, OUTCOME_NUMBER, RECORD_AT, SIZE_OF } from '../tool/verify/guest/abi.ts';
import type { GuestRecord } from '../tool/verify/guest/records.ts';
import type { GuestRequest, GuestRun } from '../tool/verify/guest/run.ts';
import { isSampled, mayKillVm, planChecks, runsOf } from '../tool/verify/plan.ts';
import type { PlannedCheck } from '../tool/verify/plan.ts';
import {
  freshSeed,
  inRuns,
  isKilled,
  observationOf,
  observedIn,
  runChecks,
  together,
} from '../tool/verify/run-checks.ts';
import type { GuestEnd, GuestSetup, ObservedCheck } from '../tool/verify/run-checks.ts';
import type { KvmArchitecture } from '../vmm/kvm/arch/arch.ts';
import type { VcpuExit } from '../vmm/kvm/exits.ts';
import type { VcpuRunner } from '../vmm/kvm/vcpu-runner.ts';
import { explainKilled } from '../vmm/machines/killed.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';
import { codeOf } from './stub-port.ts';

const STOCK: Platform = { fwb: true, faultForwarding: false, mte: false };

function checksOf(attribute: 'device' | 'wc', count: number): readonly PlannedCheck[] {
  return planChecks(MODELS.arm64, STOCK, 'cookie', [{ attribute, access: 'mapped' }])
    .filter(({ stage1 }) => stage1.name === 'Normal-NC')
    .slice(0, count);
}

function answered(check: PlannedCheck): ObservedCheck {
  return { check, observation: { kind: 'skipped', why: '' }, busLocks: null };
}

/** A guest that makes so many of the checks that it is asked. */
async function runsThat(checks: readonly PlannedCheck[], makes: (asked: number) => number, samples = false) {
  const [asked, progress]: [number[], (readonly [number, number])[]] = [[], []];
  const { observed, runs } = await inRuns(
    checks,
    (some) => {
      asked.push(some.length);
      return Promise.resolve({ observed: some.slice(0, makes(some.length)).map(answered), number: asked.length });
    },
    (done, total) => void progress.push([done, total]),
    samples,
  );
  return { asked, progress, observed: observed.map(({ check }) => check), numbers: runs.map(({ number }) => number) };
}

describe('runs', () => {
  const harmless = checksOf('wc', 5);

  test('are one where none ends its VM', async () => {
    const { asked, progress, observed, numbers } = await runsThat(harmless, (all) => all);
    expect([asked, progress, numbers]).toEqual([[5], [[5, 5]], [1]]);
    expect(observed).toEqual(harmless);
  });

  test('go on after the check that ended a VM', async () => {
    const { asked, progress, observed } = await runsThat(harmless, () => 2);
    expect([asked, progress]).toEqual([
      [5, 3, 1],
      [
        [2, 5],
        [4, 5],
        [5, 5],
      ],
    ]);
    expect(observed).toEqual(harmless);
  });

  test('are alone for what may end a VM, and for what is sampled', async () => {
    const deadly = checksOf('device', 3);
    expect((await runsThat(deadly, (all) => all)).asked).toEqual([1, 1, 1]);
    const all = checksOf('wc', 99);
    expect((await runsThat(all, (one) => one)).asked).toEqual([all.length]);
    expect((await runsThat(all, (one) => one, true)).asked).toEqual([all.length - 2, 1, 1]);
  });

  test('need nobody who is told of their progress, and sample nothing unasked', async () => {
    const all = checksOf('wc', 99);
    const { runs } = await inRuns(all, (some) => Promise.resolve({ observed: some.map(answered) }));
    expect(runs).toHaveLength(1);
  });

  test('are none where nothing is asked', async () => {
    expect(await runsThat([], () => 0)).toMatchObject({ asked: [], observed: [], numbers: [] });
  });
});

test('dumps are one dump, unless one is missing', () => {
  const range = { start: 0n, end: 1n, level: 3, memoryType: null };
  const [one, two] = [
    { kind: 'read', ranges: [range] },
    { kind: 'read', ranges: [{ ...range, start: 5n }] },
  ] as const;
  expect(together([])).toEqual({ kind: 'read', ranges: [] });
  expect(together([one, two])).toEqual({ kind: 'read', ranges: [...one.ranges, ...two.ranges] });
  const missing = { kind: 'unavailable', why: 'gone' } as const;
  expect(together([one, missing, two])).toBe(missing);
});

/** A log with so many records that are ok. */
function log(records: number, running = 0): Uint8Array {
  const bytes = new Uint8Array(SIZE_OF.log);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(LOG_AT.magic, ABI.magic, true);
  view.setUint32(LOG_AT.recordCount, records, true);
  view.setUint32(LOG_AT.running, running, true);
  for (let index = 0; index < records; index += 1) {
    const at = LOG_AT.records + index * SIZE_OF.record;
    view.setUint32(at + RECORD_AT.cell, index, true);
    view.setUint32(at + RECORD_AT.outcome, OUTCOME_NUMBER.ok, true);
  }
  return bytes;
}

const CHECKS = checksOf('wc', 3);

function ended(change: Partial<GuestEnd>): readonly ObservedCheck[] {
  return observedIn(CHECKS, {
    failure: null,
    killed: false,
    log: log(3),
    observation: (record) => ({ kind: 'record', record }),
    ...change,
  });
}

function refusal(change: Partial<GuestEnd>): string {
  try {
    ended(change);
  } catch (error) {
    if (error instanceof WcvmmError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return expect.fail('nothing was thrown');
}

describe('a guest', () => {
  test('that made all its checks has an answer to each', () => {
    const observed = ended({
      busLocksIn: (index) => index,
      combinedIn: (index) => 10 + index,
      accessesIn: (index) => ({ combining: index, uncached: 0 }),
    });
    expect(observed.map(({ check }) => check)).toEqual(CHECKS);
    expect(observed.map(({ observation }) => observation.kind === 'record' && observation.record.cell)).toEqual([
      0, 1, 2,
    ]);
    expect(observed.map(({ busLocks, combined, accesses }) => [busLocks, combined, accesses?.combining])).toEqual([
      [0, 10, 0],
      [1, 11, 1],
      [2, 12, 2],
    ]);
    expect(ended({})[0]).toMatchObject({ busLocks: null, combined: null, accesses: null });
  });

  test('whose VM ended in a check has that for its answer, and no more answers', () => {
    const observed = ended({ failure: 'killed at 0x1000', killed: true, log: log(1, 2), busLocksIn: (index) => index });
    expect(observed.slice(1)).toEqual([
      { check: CHECKS[1], observation: { kind: 'vm-killed', why: 'killed at 0x1000' }, busLocks: 1 },
    ]);
    expect(observed).toHaveLength(2);
    const silent = ended({ killed: true, log: log(0, 1) });
    expect(silent[0]?.observation).toEqual({ kind: 'vm-killed', why: 'the VM ended' });
    expect(silent[0]?.busLocks).toBeNull();
  });

  test('that failed otherwise is no answer at all', () => {
    expect(refusal({ failure: 'it hung' })).toBe('E_GUEST_EXIT: it hung');
  });

  test('that was killed in no check, or made too few, is not believed', () => {
    const killed =
      "E_GUEST_RECORDS: killed. The guest's log does not say which of its 3 cells was running (1 have a record).";
    expect(refusal({ failure: 'killed.', killed: true, log: log(1) })).toBe(killed);
    expect(refusal({ failure: 'killed.', killed: true, log: log(3) })).toContain('(3 have a record)');
    expect(refusal({ log: log(2) })).toBe(
      'E_GUEST_RECORDS: the guest reported that it was done after 2 of 3 cells; expected a record for each.',
    );
  });
});

function record(outcome: GuestRecord['outcome'], cell = 3): GuestRecord {
  return { cell, outcome, syndrome: 0n, address: 0n, values: [0n, 0n, 0n, 0n] };
}

function found(firstBad: number | null, cell = 3): Parameters<typeof observationOf>[1] {
  return [{ cell, firstBad }];
}

function seen(...of: Parameters<typeof observationOf>): string {
  const one = observationOf(...of);
  return one.kind === 'record' ? one.record.outcome : one.kind;
}

function killedBy(errno: number): boolean {
  return isKilled({ kind: 'killed', errno, fault: null } as Parameters<typeof isKilled>[0]);
}

describe('an answer', () => {
  test('to a store is what the host found', () => {
    expect(seen(record('ok'), [])).toBe('ok');
    expect(seen(record('ok'), found(null))).toBe('ok');
    expect(seen(record('ok'), found(8, 2))).toBe('ok');
    expect(seen(record('ok'), found(0))).toBe('wrong-data');
    expect(seen(record('alignment-fault'), found(8))).toBe('alignment-fault');
  });

  test('that a cell makes no sense is not believed', () => {
    expect(() => observationOf(record('bad-cell'), [])).toThrow(
      'the guest refused cell 3: it knows no such probe, window or stage-1 type. Is the guest image from another version?',
    );
  });

  test('of another version of the guest is an error of its records', () => {
    expect(codeOf(() => observationOf(record('bad-cell'), []))).toBe('E_GUEST_RECORDS');
  });

  test('is the end of a VM where KVM_RUN fails with EFAULT, or KVM cannot emulate', () => {
    expect([killedBy(ERRNO.EFAULT), killedBy(ERRNO.EIO)]).toEqual([true, false]);
    expect(isKilled({ kind: 'not-emulated' } as Parameters<typeof isKilled>[0])).toBe(true);
    expect(isKilled({ kind: 'done' } as Parameters<typeof isKilled>[0])).toBe(false);
  });
});

test('seeds are 64 bits, and not the same twice', () => {
  const seeds = Array.from({ length: 64 }, freshSeed);
  expect(new Set(seeds).size).toBe(64);
  expect(seeds.every((seed) => seed >= 0n && seed < 1n << 64n)).toBe(true);
  expect(seeds.some((seed) => seed >= 1n << 56n)).toBe(true);
});

/** What a made-up guest is asked, and leaves. */
function guestThat(leaves: (request: GuestRequest) => Partial<GuestRun> = () => ({})) {
  const asked: GuestRequest[] = [];
  const run = (_port: Port, _arch: KvmArchitecture, _thread: VcpuRunner, request: GuestRequest): Promise<GuestRun> => {
    asked.push(request);
    return Promise.resolve({
      exit: { kind: 'done', status: 0 } as VcpuExit,
      hostChecks: [],
      translations: [],
      windowExits: [1, 0],
      busLocks: null,
      log: log(request.cells.length),
      stage2: { kind: 'read', ranges: [{ start: BigInt(asked.length), end: 9n, level: 3, memoryType: null }] },
      ...leaves(request),
    });
  };
  return { asked, run };
}

const SETUP = { windows: [{}, {}], timeoutMs: 5, onProgress: () => {} } as unknown as GuestSetup;
const KILLED = { kind: 'killed', errno: ERRNO.EFAULT, fault: null } as VcpuExit;

describe('guests', () => {
  const mixed = planChecks(MODELS.arm64, STOCK, 'cookie', [
    { attribute: 'wc', access: 'mapped' },
    { attribute: 'device', access: 'mapped' },
  ]).filter(({ probe }) => probe === 'unaligned-load' || probe === 'data-read');

  test('are asked cells of their own checks, and the types that these name', async () => {
    const { asked, run } = guestThat();
    const { observed, stage2, windowExits } = await runChecks(SETUP, mixed, run);
    const runs = runsOf(mixed);
    expect(asked.map(({ cells }) => cells.map(({ window, probe }) => [window, probe]))).toEqual(
      runs.map((checks) => checks.map(({ window, probe }) => [window, probe])),
    );
    expect(asked.map(({ cells, stage1 }) => cells.map((cell) => stage1[cell.stage1]))).toEqual(
      runs.map((checks) => checks.map(({ stage1 }) => stage1.encoding)),
    );
    expect(asked.map(({ stage1 }) => new Set(stage1).size)).toEqual(asked.map(({ stage1 }) => stage1.length));
    expect(new Set(asked.flatMap(({ cells }) => cells.map(({ argument }) => argument))).size).toBe(mixed.length);
    expect(observed.map(({ check }) => check)).toEqual(runs.flat());
    expect(windowExits).toEqual([runs.length, 0]);
    expect(stage2.kind === 'read' && stage2.ranges.map(({ start }) => start)).toEqual(
      runs.map((_, index) => BigInt(index + 1)),
    );
    // Those that nobody expects to be killed are to say where, if one is.
    expect(asked.map(({ findsFault }) => findsFault)).toEqual(runs.map((checks) => !checks.some(mayKillVm)));
    expect(new Set(asked.map(({ findsFault }) => findsFault)).size).toBe(2);
  });

  test('have what is common to all runs, and nothing of what is of all of them together', async () => {
    const { asked, run } = guestThat();
    await runChecks({ ...SETUP, mte: true, translates: true, machine: () => expect.unreachable() }, CHECKS, run);
    expect(asked).toEqual([
      {
        windows: [{}, {}],
        timeoutMs: 5,
        mte: true,
        translates: true,
        findsFault: true,
        stage1: [0x44],
        cells: expect.any(Array) as unknown,
      },
    ]);
  });

  test('leave bus locks and translations by cell', async () => {
    const { run } = guestThat(() => ({
      busLocks: [
        { cell: null, count: 7 },
        { cell: 1, count: 3 },
      ],
      translations: [
        { cell: 2, attribute: 0x44 },
        { cell: 1, attribute: null },
      ],
    }));
    const { observed } = await runChecks(SETUP, CHECKS, run);
    expect(observed.map(({ busLocks, combined }) => [busLocks, combined])).toEqual([
      [0, null],
      [3, null],
      [0, 0x44],
    ]);
    const without = await runChecks(SETUP, CHECKS, guestThat().run);
    expect(without.observed.map(({ busLocks }) => busLocks)).toEqual([null, null, null]);
  });

  test('have their stores looked at by the host', async () => {
    const { run } = guestThat(() => ({ hostChecks: [{ cell: 1, firstBad: 4 }] }));
    const { observed } = await runChecks(SETUP, CHECKS, run);
    expect(observed.map(({ observation }) => observation.kind === 'record' && observation.record.outcome)).toEqual([
      'ok',
      'wrong-data',
      'ok',
    ]);
  });

  test('that are killed say where, by the machine as it then is', async () => {
    const [check] = checksOf('device', 1);
    const { run } = guestThat(() => ({ exit: { ...KILLED }, log: log(0, 1) }));
    const why = async (setup: Partial<GuestSetup>): Promise<string> => {
      const { observed } = await runChecks({ ...SETUP, ...setup }, check === undefined ? [] : [check], run);
      return observed.map(({ observation }) => (observation.kind === 'vm-killed' ? observation.why : '')).join();
    };
    const places = [{ gpa: 0n, length: 1n, kind: 'window', name: 'the window' }] as const;
    expect(await why({})).toBe(`${explainKilled({ ...KILLED, kind: 'killed' } as never, null)}`);
    expect(await why({ machine: () => ({ arch: 'arm64', places, device: 'absent' }) })).toContain('has gone');
  });

  test('that end otherwise are no answer', async () => {
    const { run } = guestThat(() => ({ exit: { kind: 'done', status: 3 } as VcpuExit }));
    await expect(runChecks(SETUP, CHECKS, run)).rejects.toThrow('the guest ended with status 3');
  });
});

/** A recorder that counts its starts, and stops with as many accesses. */
function recorder() {
  const done: string[] = [];
  let starts = 0;
  return {
    done,
    start: () => void done.push(`start ${(starts += 1)}`),
    stop: (window: number) => {
      done.push(`stop ${window}`);
      return starts === 2 ? null : { combining: starts, uncached: 0 };
    },
  };
}

describe('accesses that the CPU records', () => {
  const all = checksOf('wc', 99);
  const sampled = all.filter(isSampled);

  test('are those of checks that have a guest of their own', async () => {
    const made = recorder();
    const { observed } = await runChecks({ ...SETUP, recorder: made }, all, guestThat().run);
    expect(sampled).toHaveLength(2);
    expect(made.done).toEqual(['start 1', 'stop 0', 'start 2', 'stop 0']);
    expect(observed.filter(({ check }) => isSampled(check)).map(({ accesses }) => accesses)).toEqual([
      { combining: 1, uncached: 0 },
      null,
    ]);
    expect(observed.filter(({ check }) => !isSampled(check)).every(({ accesses }) => accesses === null)).toBe(true);
  });

  test('take no guest of their own where nothing records', async () => {
    const { asked, run } = guestThat();
    await runChecks(SETUP, all, run);
    expect(asked).toHaveLength(1);
  });

  test('are none of a check that is not sampled, alone or not, nor where nothing records', async () => {
    const made = recorder();
    const plain = all.filter((check) => !isSampled(check)).slice(0, 1);
    await runChecks({ ...SETUP, recorder: made }, plain, guestThat().run);
    expect(made.done).toEqual([]);
    const { observed } = await runChecks(SETUP, sampled.slice(0, 1), guestThat().run);
    expect(observed.map(({ accesses }) => accesses)).toEqual([null]);
  });
});
