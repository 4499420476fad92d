/** Three kinds of evidence, side by side and never mixed: predicted, programmed, observed. */
import { errata } from '../../memattr/index.ts';
import type { ArchitectureModel, Platform } from '../../memattr/index.ts';
import { readRange } from '../kvm/stage2.ts';
import type { Stage2Dump } from '../kvm/stage2.ts';
import { reportWindow } from '../report/report.ts';
import type { Check, ReportWindow } from '../report/report.ts';
import { judge } from '../report/verdict.ts';
import { pageSize } from '../sys/libc.ts';
import type { BarSource } from '../vfio/source.ts';
import type { OpenWindow } from '../windows.ts';
import type { Answer, Asked } from './lives.ts';
import type { Question } from './questions.ts';

export function describeWindow(model: ArchitectureModel, source: BarSource, window: OpenWindow, platform: Platform, dump: Stage2Dump): ReportWindow {
  const read = dump.kind === 'read' ? readRange(dump.ranges, window.gpa, window.length, pageSize()) : null;
  const described = reportWindow(window, {
    // Nothing in the kernel shows a user mapping's memory type on arm64.
    hostVma: { predicted: model.hostVma(window.attribute, source.kind), programmed: null },
    stage2: {
      predicted: model.stage2(window.attribute, source.kind, platform),
      programmed: read === null ? null : read.mixed ? 'mixed' : read.memoryType,
      blockSize: read?.blockSize ?? null,
    },
  });
  const strictness = model.strictness(window.attribute, source.kind, platform);
  return source.kind === 'memory' ? { ...described, strictness, source: 'memory' } : { ...described, strictness };
}

export function checkOf({ question, answer }: Asked, programmed: string | null): Check {
  const { window, stage1, probe, effective, prediction, stage2 } = question;
  const judgement = judge(
    {
      probe,
      stage1,
      stage2Predicted: stage2,
      stage2Programmed: programmed,
      effective,
      prediction,
      record: answer.kind === 'record' ? answer.record : null,
      vmKilled: answer.kind === 'vm-killed',
      emulator: process.env['WCVMM_TESTBED'] ?? null,
    },
    errata,
  );
  return { window, stage1: stage1.name, probe, effective, predicted: prediction.kind === 'outcome' ? prediction.outcome : prediction.kind, ...judgement, ...measuredBy(question, answer) };
}

function measuredBy({ prediction }: Question, answer: Answer): Pick<Check, 'measured'> {
  if (prediction.kind !== 'measurement' || answer.kind !== 'record' || answer.record.outcome !== 'ok') return {};
  const [amount, ticks, ticksPerSecond] = answer.record.values;
  return { measured: { amount: clamp(amount), ticks: clamp(ticks), ticksPerSecond: clamp(ticksPerSecond) } };
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** The guest's numbers have 64 bits and JSON's 53; no honest one comes near. */
function clamp(value: bigint): number {
  return Number(value > MAX_SAFE ? MAX_SAFE : value);
}

/** Lives answer out of order; a report lists its checks in the order of the questions. */
export function inOrder(checks: readonly Check[], order: readonly string[]): readonly Check[] {
  const place = new Map(order.map((key, index) => [key, index]));
  const placeOf = ({ window, stage1, probe }: Check): number => place.get(`${window} ${stage1} ${probe}`) ?? order.length;
  return checks.toSorted((a, b) => placeOf(a) - placeOf(b));
}
