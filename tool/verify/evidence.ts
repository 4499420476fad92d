/** Three kinds of evidence, side by side and never mixed: predicted, programmed, observed. */
import { TRAPPED, decodeMair, errata, nameOf } from '../../memattr/index.ts';
import type { ArchitectureModel, Platform, Prediction } from '../../memattr/index.ts';
import { readRange } from './read-back/stage2.ts';
import type { Stage2Dump, Stage2Reading } from './read-back/stage2.ts';
import { reportWindow } from '../report/report.ts';
import type { Check, ReportWindow } from '../report/report.ts';
import { judge } from './judge.ts';
import type { JudgedCheck } from './judge.ts';
import type { BarSource } from '../../vmm/vfio/source.ts';
import type { GuestRecord } from './guest/records.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import type { HostMappingReading } from './arch/arch.ts';
import { expectationOf } from './plan.ts';
import type { PlannedCheck } from './plan.ts';
import type { Observation, ObservedCheck } from './run-checks.ts';
import { timingOf } from './timing.ts';

/** What is known of all windows of a source. */
export interface WindowFacts {
  readonly model: ArchitectureModel;
  readonly source: Pick<BarSource, 'kind'>;
  readonly platform: Platform;
  readonly stage2: Stage2Dump;
  /** As in Observations. */
  readonly windowExits: readonly number[];
  /** The host's, bytes. */
  readonly pageSize: number;
}

/** What is known of all checks. */
export interface CheckFacts {
  readonly model: ArchitectureModel;
  readonly platform: Platform;
  /** Of the guest's clock, where the guest may not know it; null where the host does not either. */
  readonly ticksPerSecond: number | null;
  /** Such as `qemu-10.0.2`; null on real hardware. */
  readonly emulator: string | null;
}

/** @param host how the host has the window mapped; undefined where nothing shows that */
export function describeWindow(
  { model, source, platform, stage2, windowExits, pageSize }: WindowFacts,
  index: number,
  window: OpenWindow,
  host: HostMappingReading | undefined,
): ReportWindow {
  const expected = expectationOf(model, platform, source.kind, window);
  const read = stage2.kind === 'read' ? readRange(stage2.ranges, window.gpa, window.length, pageSize) : null;
  const described = reportWindow(window, {
    hostVma: {
      predicted: model.hostVma(window.attribute, source.kind),
      programmed: host?.programmed ?? null,
      ...(host && host.reserved !== null && { reserved: [...host.reserved] }),
      ...(host && host.observed !== null && { observed: host.observed }),
    },
    stage2: {
      predicted: expected.stage2,
      programmed: read === null ? null : programmedIn(read, window),
      blockSize: read?.blockSize ?? null,
    },
    strictness: expected.strictness,
    ...(window.access === 'trapped' && { trapped: { exits: windowExits[index] ?? 0 } }),
    ...(platform.mtrr !== undefined && { mtrr: platform.mtrr }),
  });
  return source.kind === 'memory' ? { ...described, source: 'memory' } : described;
}

/** The window is not mapped, as it should be, where stage 2 was read and has nothing there. */
function programmedIn({ memoryType, blockSize, mixed }: Stage2Reading, { access }: OpenWindow): string | null {
  if (access === 'trapped' && blockSize === null) return TRAPPED;
  return mixed ? 'mixed' : memoryType;
}

/** The effective type is that of what KVM programmed, where that is known; else of what it should have. */
export function checkOf(
  { model, platform, ticksPerSecond, emulator }: CheckFacts,
  { check, observation, busLocks, combined = null, accesses = null }: ObservedCheck,
  programmed: string | null,
): Check {
  const { window, offset, stage1, probe, prediction, stage2 } = check;
  const effective =
    programmed === null || programmed === stage2 ? check.effective : effectiveOf(model, platform, check, programmed);
  const record = observation.kind === 'record' ? observation.record : null;
  const combinedType = combined === null ? null : nameOf(decodeMair(combined));
  const timed = timedBy({ model, platform, check, record }, programmed ?? stage2);
  const judgement = judge(
    {
      probe,
      stage1,
      stage2Predicted: stage2,
      stage2Programmed: programmed,
      effective,
      prediction,
      record,
      vmKilled: observation.kind === 'vm-killed',
      ...(timed && { timed }),
      accesses,
      busLocks,
      ...(observation.kind === 'skipped' && { skipReason: observation.why }),
      combined: combinedType,
      emulator,
    },
    errata,
  );
  return {
    window,
    ...(offset > 0n && { offset: Number(offset) }),
    stage1: stage1.name,
    probe,
    effective,
    ...predictedBy(prediction),
    ...judgement,
    ...(observation.kind === 'vm-killed' &&
      judgement.verdict === 'mismatch' && { note: `${judgement.note}. ${observation.why}` }),
    ...measuredBy(check, observation, ticksPerSecond),
    ...(busLocks !== null && { busLocks }),
    ...(combinedType !== null && { combined: combinedType }),
    ...(timed?.timing && { timing: timed.timing }),
    ...(accesses !== null && { accesses }),
  };
}

interface TimedRecord extends Pick<CheckFacts, 'model' | 'platform'> {
  readonly check: PlannedCheck;
  readonly record: GuestRecord | null;
}

/** timing-class compares with the same place as uncached memory; undefined for other probes, and where there is no result. */
function timedBy({ model, platform, check, record }: TimedRecord, stage2: string): JudgedCheck['timed'] {
  const stage1 = model.stage1Named('UC');
  if (check.probe !== 'timing-class' || record?.outcome !== 'ok' || stage1 === null) return undefined;
  return { timing: timingOf(record.values), uncached: effectiveOf(model, platform, { stage1 }, stage2) };
}

function predictedBy(prediction: Prediction): Pick<Check, 'predicted' | 'alternatives'> {
  switch (prediction.kind) {
    case 'outcome':
      return { predicted: prediction.outcome };
    case 'one-of': {
      const [predicted, ...alternatives] = prediction.outcomes;
      return predicted === undefined ? { predicted: 'any' } : { predicted, alternatives };
    }
    case 'any':
    case 'measurement':
      return { predicted: prediction.kind };
  }
}

/** KVM may have programmed what the model has no name for, `mixed` or `reserved`. */
function effectiveOf(
  model: ArchitectureModel,
  platform: Platform,
  { stage1 }: Pick<PlannedCheck, 'stage1'>,
  programmed: string,
): string {
  try {
    return model.effective(stage1, programmed, platform);
  } catch (error) {
    if (error instanceof RangeError) return 'unknown';
    throw error;
  }
}

function measuredBy(
  { probe, prediction }: PlannedCheck,
  observation: Observation,
  known: number | null,
): Pick<Check, 'measured'> {
  // timing-class's values are not an amount and a time, but two intervals of each.
  if (
    probe === 'timing-class' ||
    prediction.kind !== 'measurement' ||
    observation.kind !== 'record' ||
    observation.record.outcome !== 'ok'
  )
    return {};
  const [amount, ticks, ticksPerSecond] = observation.record.values;
  return {
    measured: {
      amount: clamp(amount),
      ticks: clamp(ticks),
      ticksPerSecond: ticksPerSecond === 0n ? (known ?? 0) : clamp(ticksPerSecond),
    },
  };
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** The guest's numbers have 64 bits and JSON's 53; no honest one comes near. */
function clamp(value: bigint): number {
  return Number(value > MAX_SAFE ? MAX_SAFE : value);
}

/** Runs make the checks out of order; a report lists them as planned. */
export function inOrder(checks: readonly Check[], order: readonly string[]): readonly Check[] {
  const place = new Map(order.map((key, index) => [key, index]));
  const placeOf = ({ window, stage1, probe }: Check): number =>
    place.get(`${window} ${stage1} ${probe}`) ?? order.length;
  return checks.toSorted((a, b) => placeOf(a) - placeOf(b));
}
