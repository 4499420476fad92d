/** What a report proves: of each window, whether anything showed its memory type; of all of them, how much did. */
import { MODELS, TRAPPED, memoryKindOf } from '../../memattr/index.ts';
import type { SpeaksOf } from '../../memattr/index.ts';
import { EXIT } from '../../common/errors.ts';
import type { ExitCode } from '../../common/errors.ts';
import { isContradicted, isControl } from './report.ts';
import type { Check, Coverage, Evidence, Report, ReportWindow } from './report.ts';
import { platformOf } from './worth.ts';

/** What was as predicted, and of how many. */
export interface Part {
  readonly shown: number;
  readonly of: number;
}

export interface Pages {
  readonly of: number;
  readonly touched: number;
  /** Of those, where what was seen was not as predicted. */
  readonly unlike: number;
  /** Those that stage 2 maps; null: it was not read back. */
  readonly readBack: number | null;
}

/** Of the device's windows; the control, of which everything is known, proves nothing of them. */
export interface Proof {
  /** Windows whose entries were read back: in stage 2, and in the host's own page tables. */
  readonly stage2: Part;
  readonly hostVma: Part;
  /** Windows where the host's own loads showed the kind of memory that is predicted, of those where it made some. */
  readonly hostLoads: Part;
  /** Types that guests get, by the CPU's own walk of both stages: those that are as computed. */
  readonly combined: Part;
  /** Pages of the windows; null: the report does not say. */
  readonly pages: Pages | null;
  /** Checks by what they are evidence of. Those with a definite outcome to predict; nothing can be said of the others. */
  readonly checks: Readonly<Record<SpeaksOf, Part>>;
  /** Types of windows, and those from which nothing that was seen tells them. */
  readonly notToldApart: readonly { readonly type: string; readonly from: readonly string[] }[];
  /** Indexes of windows whose type was neither read back nor seen. */
  readonly notProven: readonly number[];
}

export function proofOf(report: Report): Proof {
  const devices = deviceWindows(report);
  const checks = report.checks.filter(({ window }) => devices.some(([index]) => index === window));
  const about = (subject: SpeaksOf): Part => shownBy(checks, subject);
  return {
    stage2: { shown: devices.filter(([, window]) => isReadBack(window)).length, of: devices.length },
    hostVma: { shown: devices.filter(([, { hostVma }]) => isAsPredicted(hostVma)).length, of: devices.length },
    hostLoads: hostLoadsOf(devices),
    combined: combinedOf(checks),
    pages: pagesOf(devices),
    checks: {
      type: about('type'),
      stage1: about('stage1'),
      'kvm-policy': about('kvm-policy'),
      function: about('function'),
    },
    notToldApart: notToldApart(report, devices),
    notProven: notProven(report),
  };
}

/** An erratum of the emulator's is none of the two. */
function combinedOf(checks: readonly Check[]): Part {
  const some = checks.filter(
    ({ combined, verdict }) => combined !== undefined && (verdict === 'match' || verdict === 'mismatch'),
  );
  return { shown: some.filter(({ verdict }) => verdict === 'match').length, of: some.length };
}

/** Of the checks that are evidence of the subject, those that match. */
export function shownBy(checks: readonly Check[], subject: SpeaksOf): Part {
  const some = checks.filter(
    ({ speaksOf, verdict }) => speaksOf === subject && (verdict === 'match' || verdict === 'mismatch'),
  );
  return { shown: some.filter(({ verdict }) => verdict === 'match').length, of: some.length };
}

function pagesOf(devices: Indexed): Pages | null {
  const covered = devices.flatMap(([, { coverage }]) => coverage ?? []);
  if (covered.length === 0) return null;
  const sum = (count: (coverage: Coverage) => number): number => covered.reduce((all, one) => all + count(one), 0);
  return {
    of: sum(({ pages }) => pages),
    touched: sum(({ touched }) => touched),
    unlike: sum(({ unlike }) => unlike),
    readBack: covered.every(({ readBack }) => readBack === null) ? null : sum(({ readBack }) => readBack ?? 0),
  };
}

/** A sentence for the limits of a report whose windows were not touched everywhere; null: they were, or it does not say. */
export function partialCoverage(report: Pick<Report, 'device' | 'windows'>): string | null {
  const pages = pagesOf(deviceWindows(report).filter(([, { trapped }]) => trapped === undefined));
  if (pages === null || pages.touched >= pages.of) return null;
  return `${pages.touched} of ${pages.of} pages were touched: the first and the last of each window, and a few between. --whole touches every page`;
}

type Indexed = readonly (readonly [index: number, window: ReportWindow])[];

function deviceWindows(report: Pick<Report, 'device' | 'windows'>): Indexed {
  return [...report.windows.entries()].filter(([, window]) => !isControl(report, window));
}

function hostLoadsOf(devices: Indexed): Part {
  const made = devices.flatMap(([, { hostVma }]) => (hostVma.observed === undefined ? [] : [hostVma]));
  return {
    shown: made.filter(({ predicted, observed }) => observed === memoryKindOf(predicted)).length,
    of: made.length,
  };
}

function isAsPredicted(evidence: Evidence): boolean {
  return evidence.programmed !== null && !isContradicted(evidence);
}

/** Where accesses are trapped there is no entry to read: that they came to the VMM shows that there is none. */
function isReadBack({ stage2, trapped }: ReportWindow): boolean {
  return isAsPredicted(stage2) || (stage2.programmed === null && trapped !== undefined && trapped.exits > 0);
}

function notProven(report: Pick<Report, 'device' | 'windows' | 'checks'>): readonly number[] {
  return deviceWindows(report)
    .filter(
      ([index, window]) =>
        !isReadBack(window) &&
        !report.checks.some(
          (check) =>
            check.window === index &&
            check.verdict === 'match' &&
            (check.speaksOf === 'type' || check.combined !== undefined),
        ),
    )
    .map(([index]) => index);
}

function notToldApart(report: Report, devices: Indexed): Proof['notToldApart'] {
  const model = MODELS[report.arch];
  const byType = new Map<string, Set<string>>();
  for (const [index, { stage2 }] of devices) {
    const type = stage2.programmed ?? stage2.predicted;
    if (type === TRAPPED) continue;
    const excluded = new Set(
      report.checks
        .filter(({ window, verdict, speaksOf }) => window === index && verdict === 'match' && speaksOf === 'type')
        .flatMap(({ excludes = [] }) => excludes),
    );
    const from = byType.get(type) ?? new Set();
    byType.set(type, from);
    for (const other of model.stage2Types(platformOf(report, index)))
      if (other !== type && !excluded.has(other)) from.add(other);
  }
  return [...byType].flatMap(([type, from]) => (from.size > 0 ? [{ type, from: [...from] }] : []));
}

/**
 * 1 when a check or a window's own evidence is a mismatch; 2 when there were checks and not one was carried out; 3 when there
 * were, and of some window nothing shows the memory type; else 0. Errata and what cannot be observed do not fail a run: the
 * report names them.
 */
export function exitCodeOf(report: Pick<Report, 'device' | 'windows' | 'checks'>): ExitCode {
  const { windows, checks } = report;
  const isWrong = windows.some(({ hostVma, stage2 }) => isContradicted(hostVma) || isContradicted(stage2));
  if (isWrong || checks.some(({ verdict }) => verdict === 'mismatch')) return EXIT.mismatch;
  if (checks.length === 0) return EXIT.match;
  if (checks.every(({ verdict }) => verdict === 'skipped')) return EXIT.failed;
  return notProven(report).length > 0 ? EXIT.notProven : EXIT.match;
}

const WORST_FIRST: readonly ExitCode[] = [EXIT.failed, EXIT.mismatch, EXIT.notProven];

/** Of several reports: the worst of theirs. */
export function worstOf(codes: readonly ExitCode[]): ExitCode {
  return WORST_FIRST.find((code) => codes.includes(code)) ?? EXIT.match;
}
