import {
  RECORDED,
  TRAPPED,
  isRecorded,
  locksBus,
  mayBePaced,
  mayBeRecorded,
  outcomesOf,
  translationErrata,
} from '../../memattr/index.ts';
import type { AccessCounts, Erratum, Outcome, Prediction, ProbeName, Stage1Type } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { Check, Timing } from '../report/report.ts';
import { BUS_LOCKING } from '../report/worth.ts';
import { pacesOf, recordText, timingText } from '../report/timing.ts';

/** All that is known about one check. */
export interface JudgedCheck {
  probe: ProbeName;
  stage1: Stage1Type;
  /** The model's and the kernel's stage-2 type; null: not read back. */
  stage2Predicted: string;
  stage2Programmed: string | null;
  effective: string;
  prediction: Prediction;
  /** The guest's record, with data-write's outcome already corrected by what the host found in the BAR. */
  record: { cell: number; outcome: Outcome | 'bad-cell' } | null;
  /** The VM ended in this check: KVM_RUN failed with EFAULT. */
  vmKilled: boolean;
  /** timing-class: beside the window's own uncached mapping, whose type is `uncached`; null: the guest's figures are none. */
  timed?: { readonly timing: Timing | null; readonly uncached: string };
  /** Bus locks that KVM reported meanwhile; null or absent: it reports none. */
  busLocks?: number | null;
  /** What the CPU recorded of the guest's accesses to the window, as far as they were sampled; null or absent: it was not asked. */
  accesses?: AccessCounts | null;
  /** The type that both stages combine to, as the CPU says by KVM; null or absent: it did not. */
  combined?: string | null;
  /** Such as `qemu-10.0.2`; null on real hardware, which has no errata here. */
  emulator: string | null;
  /** Why the check was not made, where the caller knows. */
  skipReason?: string;
}

export type Judgement = Pick<Check, 'observed' | 'verdict' | 'note'>;

/** What a CPU may lack. null: the probe needs nothing such, and not-present from it is a wrong outcome. */
const OPTIONAL_FEATURE: Readonly<Record<ProbeName, string | null>> = {
  'stage1-self-check': null,
  'unaligned-load': null,
  'unaligned-store': null,
  'unaligned-load-simd': 'SIMD registers',
  'unaligned-store-simd': 'SIMD registers',
  'unaligned-load-pair': null,
  'unaligned-store-pair': null,
  'simd-half-aligned': 'SIMD registers',
  'zero-block': 'an instruction to zero a block that the guest may use',
  exclusive: null,
  atomic: 'single-instruction atomics',
  fetch: null,
  'data-read': null,
  'data-write': null,
  'tag-retention': 'allocation tags (MTE)',
  'store-bandwidth': null,
  'load-latency': null,
  'nt-store': null,
  'nt-load': 'non-temporal loads (SSE4.1)',
  'direct-store': '64-byte stores (MOVDIR64B)',
  'cache-flush': null,
  'fence-visibility': null,
  'locked-access': null,
  'timing-class': null,
};

/**
 * The verdict of one check. The order matters: a stage 2 that is not the predicted one is a mismatch whatever the guest
 * saw, since an outcome that agrees anyway would agree by accident; and an erratum excuses exactly the outcome that it
 * names, so it is looked up last and by the observed outcome.
 *
 * @throws WcvmmError E_GUEST_RECORDS when the guest found the cell malformed, which is a fault of the VMM
 */
export function judge(check: JudgedCheck, errata: readonly Erratum[]): Judgement {
  const observed = observe(check);
  const { prediction, probe, stage2Predicted, stage2Programmed } = check;
  if (observed === null)
    return { observed, verdict: 'skipped', note: check.skipReason ?? 'the guest ended before this check' };
  if (stage2Programmed !== null && stage2Programmed !== stage2Predicted) {
    return {
      observed,
      verdict: 'mismatch',
      note: `KVM programmed stage 2 as ${stage2Programmed}, the model predicts ${stage2Predicted}: ${prediction.why}`,
    };
  }
  const feature = OPTIONAL_FEATURE[probe];
  if (observed === 'not-present' && feature !== null)
    return { observed, verdict: 'unobservable', note: `the guest's CPU lacks ${feature}` };
  if (prediction.kind === 'any') return { observed, verdict: 'unobservable', note: prediction.why };
  if (prediction.kind === 'measurement') {
    if (observed === 'ok' && check.timed !== undefined) return judgeTiming(check, check.timed);
    if (observed === 'ok' && check.accesses) return { observed, ...judgeAccesses(check, check.accesses) };
    if (observed === 'ok') return { observed, verdict: 'unobservable', note: prediction.why };
    return {
      observed,
      verdict: 'mismatch',
      note: `a measurement makes only accesses that every memory type allows: ${prediction.why}`,
    };
  }
  const outcomes = outcomesOf(prediction) ?? [];
  if (outcomes.includes(observed)) return { observed, ...(judgeCombined(check) ?? judgeBusLock(check)) };
  const erratum = findErratum(check, outcomes, observed, errata);
  if (erratum) return { observed, verdict: 'erratum', note: `${erratum.id}: ${erratum.text}` };
  return { observed, verdict: 'mismatch', note: prediction.why };
}

/** Timing is evidence on hardware, and only there. */
function judgeTiming(
  { emulator, effective }: JudgedCheck,
  { timing, uncached }: NonNullable<JudgedCheck['timed']>,
): Judgement {
  const observed = 'ok';
  if (emulator !== null)
    return {
      observed,
      verdict: 'unobservable',
      note: `access times under ${emulator} say nothing about the memory type`,
    };
  if (timing === null)
    return { observed, verdict: 'unobservable', note: "the guest's clock gave no figures that could be compared" };
  const paces = pacesOf(timing);
  if (!mayBePaced(effective, uncached, paces))
    return {
      observed,
      verdict: 'mismatch',
      note: `${timingText(timing)}; that of ${effective} beside ${uncached} cannot be so`,
    };
  if (paces.loads !== null && paces.stores !== null) return { observed, verdict: 'match', note: null };
  return {
    observed,
    verdict: 'unobservable',
    note: 'beside uncached accesses the timing is too uneven to tell types apart, or between two of them',
  };
}

/** By what the CPU recorded of each: a hypervisor below has no say in it, and an emulator records nothing. */
function judgeAccesses(
  { emulator, effective, prediction }: JudgedCheck,
  accesses: AccessCounts,
): Pick<Judgement, 'verdict' | 'note'> {
  if (emulator !== null) return { verdict: 'unobservable', note: prediction.why };
  const text = recordText(accesses);
  const wrong = RECORDED.filter((as) => accesses[as] > 0 && !mayBeRecorded(effective, as));
  if (wrong.length > 0)
    return { verdict: 'mismatch', note: `${text}; an access to ${effective} memory is not recorded so` };
  if (RECORDED.every((as) => accesses[as] === 0))
    return {
      verdict: 'unobservable',
      note: 'no access to the window was sampled that the CPU recorded as uncached or combining',
    };
  if (isRecorded(effective)) return { verdict: 'match', note: null };
  return { verdict: 'unobservable', note: `${text}; how ${effective} is recorded, no manual says` };
}

/** null: nothing was asked, or it is as predicted. */
function judgeCombined({
  combined = null,
  stage1,
  stage2Predicted,
  effective,
  emulator,
}: JudgedCheck): Pick<Judgement, 'verdict' | 'note'> | null {
  if (combined === null || stage2Predicted === TRAPPED || effective.split(' or ').includes(combined)) return null;
  const check = { stage1: stage1.name, stage2: stage2Predicted, predicted: effective, observed: combined };
  const known = translationErrata.find((one) => emulator !== null && one.emulator.test(emulator) && one.matches(check));
  if (known !== undefined) return { verdict: 'erratum', note: `${known.id}: ${known.text}` };
  return {
    verdict: 'mismatch',
    note: `both stages combine to ${combined}, as the CPU translates the address (AT S12E1R); the model says ${effective}`,
  };
}

/** Of a locked access that worked. What an emulator reports, and what KVM emulates, comes from no bus. */
function judgeBusLock({
  probe,
  busLocks = null,
  emulator,
  effective,
  stage2Predicted,
}: JudgedCheck): Pick<Judgement, 'verdict' | 'note'> {
  const locks = locksBus(effective);
  const says = BUS_LOCKING.has(probe) && busLocks !== null && emulator === null && stage2Predicted !== TRAPPED;
  if (!says || locks === null || busLocks > 0 === locks) return { verdict: 'match', note: null };
  return {
    verdict: 'mismatch',
    note: locks
      ? `KVM reported no bus lock; a locked access to ${effective} memory locks the bus`
      : `KVM reported ${busLocks} bus locks; a locked access to ${effective} memory locks a cache line`,
  };
}

function observe({ vmKilled, record }: JudgedCheck): Outcome | null {
  if (vmKilled) return 'vm-killed';
  if (record?.outcome === 'bad-cell') {
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the guest found cell ${record.cell} malformed: the guest image is from another version of wcvmm; build both again`,
    );
  }
  return record?.outcome ?? null;
}

function findErratum(
  { probe, stage1, stage2Predicted, effective, emulator }: JudgedCheck,
  outcomes: readonly Outcome[],
  observed: Outcome,
  errata: readonly Erratum[],
): Erratum | undefined {
  if (emulator === null) return undefined;
  const check = { probe, stage1: stage1.name, stage2: stage2Predicted, effective, observed };
  return errata.find(
    (erratum) =>
      erratum.emulator.test(emulator) && outcomes.some((predicted) => erratum.matches({ ...check, predicted })),
  );
}
