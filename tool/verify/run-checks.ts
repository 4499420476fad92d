/** Makes the checks in guests, and goes on in a new VM where a check has ended one. */
import type { AccessCounts } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import type { TakeOutput } from '../../vmm/devices/console-ring.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { VcpuExit } from '../../vmm/kvm/exits.ts';
import type { VcpuRunner } from '../../vmm/kvm/vcpu-runner.ts';
import type { GuestWindow } from '../../vmm/memory/guest-window.ts';
import { ERRNO } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { randomBytes } from '../../vmm/sys/random.ts';
import type { HostCheck } from './guest/exchange.ts';
import type { KilledMachine } from '../../vmm/machines/killed.ts';
import { describeExit } from './guest/exit.ts';
import { decodeLog } from './guest/records.ts';
import type { GuestRecord } from './guest/records.ts';
import { runGuest } from './guest/run.ts';
import type { AccessRecorder } from './arch/arch.ts';
import { cellOf, isSampled, mayKillVm, runsOf } from './plan.ts';
import type { PlannedCheck } from './plan.ts';
import type { Stage2Dump } from './read-back/stage2.ts';

/** What came of a check: the guest's record, or its VM's end. */
export type Observation =
  | { readonly kind: 'record'; readonly record: GuestRecord }
  /** KVM_RUN failed; where and why, in a sentence. */
  | { readonly kind: 'vm-killed'; readonly why: string }
  /** The guest had no way to make it. */
  | { readonly kind: 'skipped'; readonly why: string };

export interface ObservedCheck {
  readonly check: PlannedCheck;
  readonly observation: Observation;
  /** Bus locks that KVM reported meanwhile; null: this KVM reports none. */
  readonly busLocks: number | null;
  /** arm64: what both stages make of the address, as the CPU says by KVM; null or absent: it was not asked, or did not say. */
  readonly combined?: number | null;
  /** x86: what the CPU recorded of the guest's accesses, as far as they were sampled; null or absent: it was not asked. */
  readonly accesses?: AccessCounts | null;
}

export interface Observations {
  readonly observed: readonly ObservedCheck[];
  /** Of all runs together: their windows are at the same addresses, and one run alone may not have touched them all. */
  readonly stage2: Stage2Dump;
  /** Accesses that were exits, by window, of all runs together. */
  readonly windowExits: readonly number[];
}

/** What every run has in common. */
export interface GuestSetup {
  readonly port: Port;
  readonly arch: KvmArchitecture;
  readonly thread: VcpuRunner;
  readonly image: ElfImage;
  readonly windows: readonly GuestWindow[];
  /** What stands where, for a guest that was killed. */
  readonly machine?: () => KilledMachine;
  readonly mte?: boolean;
  readonly translates?: boolean;
  readonly recorder?: AccessRecorder;
  readonly timeoutMs: number;
  readonly onConsole?: TakeOutput;
  /** Called after each run. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Makes the checks in bare guests. @param run one guest */
export async function runChecks(
  setup: GuestSetup,
  checks: readonly PlannedCheck[],
  run = runGuest,
): Promise<Observations> {
  let windowExits: readonly number[] = setup.windows.map(() => 0);
  const { observed, runs } = await inRuns(
    checks,
    async (some) => {
      const one = await runOnce(setup, some, run);
      windowExits = windowExits.map((count, window) => count + (one.windowExits[window] ?? 0));
      return one;
    },
    setup.onProgress,
    setup.recorder !== undefined,
  );
  return { observed, stage2: together(runs.map(({ stage2 }) => stage2)), windowExits };
}

/** Asks one VM after the other, until each check has been made: one that ends its VM is the last of it. */
export async function inRuns<Run extends { readonly observed: readonly ObservedCheck[] }>(
  checks: readonly PlannedCheck[],
  runOne: (checks: readonly PlannedCheck[]) => Promise<Run>,
  onProgress?: (done: number, total: number) => void,
  samples = false,
): Promise<{ readonly observed: readonly ObservedCheck[]; readonly runs: readonly Run[] }> {
  const observed: ObservedCheck[] = [];
  const runs: Run[] = [];
  const waiting = [...runsOf(checks, samples)];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const run = await runOne(next);
    observed.push(...run.observed);
    runs.push(run);
    onProgress?.(observed.length, checks.length);
    if (run.observed.length < next.length) waiting.unshift(next.slice(run.observed.length));
  }
  return { observed, runs };
}

/** Of runs whose windows are at the same addresses. */
export function together(dumps: readonly Stage2Dump[]): Stage2Dump {
  const unavailable = dumps.find((dump) => dump.kind === 'unavailable');
  return unavailable ?? { kind: 'read', ranges: dumps.flatMap((dump) => (dump.kind === 'read' ? dump.ranges : [])) };
}

async function runOnce(
  setup: GuestSetup,
  checks: readonly PlannedCheck[],
  run: typeof runGuest,
): Promise<Observations> {
  const stage1Types = [...new Set(checks.map(({ stage1 }) => stage1))];
  const { onProgress: _ofAllRuns, machine: killedMachine, recorder, ...machine } = setup;
  const recorded = record(recorder, checks);
  const { exit, log, hostChecks, translations, busLocks, stage2, windowExits } = await run(
    setup.port,
    setup.arch,
    setup.thread,
    {
      ...machine,
      stage1: stage1Types.map(({ encoding }) => encoding),
      // One that may end the VM is known.
      findsFault: !checks.some(mayKillVm),
      cells: checks.map((check) => cellOf(check, stage1Types, freshSeed())),
    },
  );
  const accesses = recorded();
  const observed = observedIn(checks, {
    failure: describeExit(exit, exit.kind === 'done' ? null : (killedMachine?.() ?? null)),
    killed: isKilled(exit),
    log,
    observation: (record) => observationOf(record, hostChecks),
    busLocksIn: (index) => busLocks && (busLocks.find(({ cell }) => cell === index)?.count ?? 0),
    accessesIn: () => accesses,
    combinedIn: (index) => translations.find(({ cell }) => cell === index)?.attribute ?? null,
  });
  return { observed, stage2, windowExits };
}

/** From now on until what it returns is called. Where something records, a check that is sampled has a run of its own. */
function record(recorder: AccessRecorder | undefined, checks: readonly PlannedCheck[]): () => AccessCounts | null {
  const sampled = checks.find(isSampled);
  if (recorder === undefined || sampled === undefined) return () => null;
  recorder.start();
  return () => recorder.stop(sampled.window);
}

export function freshSeed(): bigint {
  return new DataView(randomBytes(8).buffer).getBigUint64(0, true);
}

/** A VM ends so by an access that stage 2 forbids, or that KVM cannot emulate, and that the guest sees no fault of. */
export function isKilled(exit: VcpuExit): boolean {
  return exit.kind === 'not-emulated' || (exit.kind === 'killed' && exit.errno === ERRNO.EFAULT);
}

/** How a guest that was asked checks ended, and what it left. */
export interface GuestEnd {
  /** One sentence for a guest that did not end well; null for one that did. */
  readonly failure: string | null;
  /** KVM ended its VM for an access. */
  readonly killed: boolean;
  /** Not looked at yet. */
  readonly log: Uint8Array;
  readonly observation: (record: GuestRecord) => Observation;
  readonly busLocksIn?: (index: number) => number | null;
  readonly combinedIn?: (index: number) => number | null;
  readonly accessesIn?: (index: number) => AccessCounts | null;
}

/**
 * As many as the guest has made; the end of the VM is what was observed of the check that was under way.
 *
 * Throws E_GUEST_EXIT, E_GUEST_RECORDS.
 */
export function observedIn(
  checks: readonly PlannedCheck[],
  {
    failure,
    killed,
    log,
    observation,
    busLocksIn = () => null,
    combinedIn = () => null,
    accessesIn = () => null,
  }: GuestEnd,
): readonly ObservedCheck[] {
  if (failure !== null && !killed) throw new WcvmmError('E_GUEST_EXIT', failure);
  const { records, running } = decodeLog(log, checks.length);
  const observed = records.flatMap((record, index): ObservedCheck[] => {
    const check = checks[index];
    if (check === undefined) return [];
    const known = { check, observation: observation(record) };
    return [{ ...known, busLocks: busLocksIn(index), combined: combinedIn(index), accesses: accessesIn(index) }];
  });
  if (killed) {
    const check = checks[records.length];
    if (check === undefined || running !== records.length) {
      throw new WcvmmError(
        'E_GUEST_RECORDS',
        `${failure} The guest's log does not say which of its ${checks.length} cells was running (${records.length} have a record).`,
      );
    }
    return [
      ...observed,
      {
        check,
        observation: { kind: 'vm-killed', why: failure ?? 'the VM ended' },
        busLocks: busLocksIn(records.length),
      },
    ];
  }
  if (records.length < checks.length) {
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the guest reported that it was done after ${records.length} of ${checks.length} cells; expected a record for each.`,
    );
  }
  return observed;
}

/** Of a data-write cell the guest only says that it stored; what arrived is read from the host's mapping. */
export function observationOf(record: GuestRecord, hostChecks: readonly HostCheck[]): Observation {
  if (record.outcome === 'bad-cell') {
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the guest refused cell ${record.cell}: it knows no such probe, window or stage-1 type. Is the guest image from another version?`,
    );
  }
  const check = hostChecks.find(({ cell }) => cell === record.cell);
  const lost = record.outcome === 'ok' && check !== undefined && check.firstBad !== null;
  return { kind: 'record', record: lost ? { ...record, outcome: 'wrong-data' } : record };
}
