/** A report as test cases, for the formats that know nothing else: a suite per window; its own evidence first, then its checks. */
import type { NamedReport } from './machine.ts';
import { machineFacts } from './machine.ts';
import { proofOf } from './proof.ts';
import type { Proof } from './proof.ts';
import { NOT_PROVEN } from './proof-text.ts';
import { memoryKindOf } from '../../memattr/index.ts';
import { isContradicted, isControl } from './report.ts';
import type { Check, Evidence, HostEvidence, Report, ReportWindow } from './report.ts';
import { predictedText, windowName } from './words.ts';

export interface Suite {
  /** Unlike the others': the machine and the window. */
  readonly name: string;
  readonly machine: string;
  readonly window: string;
  readonly facts: string;
  readonly cases: readonly Case[];
}

export interface Case {
  /** A stage-1 type, or that it is the window's own evidence. */
  readonly group: string;
  readonly name: string;
  readonly result: CaseResult;
  /** What was predicted, programmed, observed. */
  readonly detail: Readonly<Record<string, string | null>>;
}

/** `known`: not as predicted, by an erratum of the emulator; neither a failure nor a pass. `not proven`: nothing shows it. */
export type CaseResult =
  { readonly kind: 'passed' } | { readonly kind: 'failed' | 'skipped' | 'known' | 'not proven'; readonly why: string };

export function suitesOf(reports: readonly NamedReport[]): readonly Suite[] {
  return reports.flatMap(({ name, report }) => {
    const proof = proofOf(report);
    return report.windows.map((window, index) => suiteOf(name, report, proof, window, index));
  });
}

function suiteOf(machine: string, report: Report, proof: Proof, window: ReportWindow, index: number): Suite {
  const what = isControl(report, window) ? `control: ${windowName(window)}` : windowName(window);
  const checks = report.checks.filter((check) => check.window === index);
  return {
    name: `${machine} ${index} ${what}`,
    machine,
    window: what,
    facts: machineFacts(report),
    cases: [
      evidenceCase('host mapping', window.hostVma),
      ...observedCases(window.hostVma),
      evidenceCase('stage 2', window.stage2),
      ...(isControl(report, window) || report.checks.length === 0 ? [] : [proofCase(window, index, proof)]),
      ...checks.map((check) => checkCase(check, window)),
    ],
  };
}

/** Is there anything that shows the window's memory type? What contradicts it fails cases of its own. */
function proofCase({ stage2 }: ReportWindow, index: number, { notProven }: Proof): Case {
  return {
    group: 'proof',
    name: 'memory type',
    result:
      notProven.includes(index) && !isContradicted(stage2)
        ? { kind: 'not proven', why: NOT_PROVEN }
        : { kind: 'passed' },
    detail: { predicted: stage2.predicted, programmed: stage2.programmed },
  };
}

/** What the host's own loads showed, where it made any. */
function observedCases({ predicted, observed }: HostEvidence): readonly Case[] {
  if (observed === undefined) return [];
  const why = `${observed} memory, predicted ${predicted}`;
  const result: CaseResult =
    observed === memoryKindOf(predicted) ? { kind: 'passed' } : { kind: 'failed', why: `observed ${why}` };
  return [{ group: 'observed', name: 'host mapping', result, detail: { predicted, observed } }];
}

type Programmed = Evidence & { reserved?: readonly string[] };

function evidenceCase(name: string, { predicted, programmed, reserved }: Programmed): Case {
  const evidence = { predicted, programmed, ...(reserved && { reserved }) };
  return {
    group: 'programmed',
    name,
    result: evidenceResult(evidence),
    detail: { predicted, programmed, ...(reserved && { reserved: reserved.join(', ') }) },
  };
}

function evidenceResult(evidence: Programmed): CaseResult {
  const { predicted, programmed, reserved } = evidence;
  if (isContradicted(evidence))
    return {
      kind: 'failed',
      why: `programmed ${programmed ?? 'unknown'}${reserved ? ` (on record: ${reserved.join(', ')})` : ''}, predicted ${predicted}`,
    };
  return programmed === null
    ? { kind: 'skipped', why: 'what the kernel programmed was not read back' }
    : { kind: 'passed' };
}

function checkCase(check: Check, { stage2 }: ReportWindow): Case {
  const { stage1, probe, effective, observed, note, speaksOf = null, excludes = [] } = check;
  return {
    group: stage1,
    name: probe,
    result: checkResult(check),
    detail: {
      effective,
      predicted: predictedText(check),
      programmed: stage2.programmed,
      observed,
      note,
      'speaks of': speaksOf,
      ...(excludes.length > 0 && { excludes: excludes.join(', ') }),
      ...(check.rules && { 'BSA rules': check.rules.join(', ') }),
    },
  };
}

function checkResult(check: Check): CaseResult {
  const { verdict, observed, note } = check;
  const difference = `predicted ${predictedText(check)}, observed ${observed ?? 'nothing'}`;
  const why = note ?? difference;
  switch (verdict) {
    case 'match':
      return { kind: 'passed' };
    case 'mismatch':
      return {
        kind: 'failed',
        why: `${difference}: ${note ?? 'no reason given'}`,
      };
    case 'erratum':
      return { kind: 'known', why };
    case 'unobservable':
    case 'skipped':
      return { kind: 'skipped', why };
  }
}
