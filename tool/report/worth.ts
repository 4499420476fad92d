/**
 * What each check of a report is worth (memattr/exclusion.ts). Also of reports that were written before this was counted: they
 * say all that it follows from.
 */
import {
  MODELS,
  MTRR_TYPES,
  TRAPPED,
  excludedByBusLock,
  RECORDED,
  excludedByPaces,
  excludedByRecord,
  excludedByTiming,
  locksBus,
  remembering,
  worthOf,
} from '../../memattr/index.ts';
import type {
  AccessCounts,
  ArchitectureModel,
  Outcome,
  Platform,
  ProbeName,
  Stage1Type,
  Worth,
} from '../../memattr/index.ts';
import { NO_OUTCOME, summarise } from './report.ts';
import type { Check, Report } from './report.ts';
import { pacesOf } from './timing.ts';

/** The report with `speaksOf` and `excludes` in each check; a match that shows nothing is `unobservable`. */
export function weighed(report: Report): Report {
  const platforms = report.windows.map((_, index) => platformOf(report, index));
  const weighing: Weighing = { report, platforms, model: remembering(MODELS[report.arch]), known: new Map() };
  const checks = report.checks.map((check) => weighedCheck(weighing, check));
  return { ...report, checks, summary: summarise(checks) };
}

interface Weighing {
  readonly report: Report;
  /** By window. */
  readonly platforms: readonly Platform[];
  readonly model: ArchitectureModel;
  /** What checks were found to be worth; many differ only in their place. */
  readonly known: Map<string, Worth>;
}

function weighedCheck(weighing: Weighing, check: Check): Check {
  const { speaksOf, excludes, blindBy } = worthIn(weighing, check);
  const counted = { ...check, speaksOf, excludes: [...excludes] };
  if (check.verdict !== 'match') return counted;
  if (!isKnown(check.effective))
    return {
      ...counted,
      verdict: 'unobservable',
      note: 'nobody can tell what stage 2 is here, so no memory type was predicted that this could confirm',
    };
  if (blindBy !== null)
    return { ...counted, verdict: 'unobservable', note: `it would be the same whatever the type: ${blindBy.text}` };
  return counted;
}

/** A newer version may know more of its checks than this one does: what it has written is kept. */
function worthIn({ report, platforms, model, known: weighedBefore }: Weighing, check: Check): Worth {
  const { platform, windows } = report;
  const [window, known] = [windows[check.window], platforms[check.window]];
  const stage1 = model.stage1Named(check.stage1);
  if (check.speaksOf !== undefined && check.excludes !== undefined)
    return { speaksOf: check.speaksOf, excludes: check.excludes, blindBy: null };
  if (window === undefined || known === undefined || stage1 === null) return NOTHING;
  if (check.probe === 'timing-class') return timed(model, known, stage1, check);
  if (check.accesses !== undefined) return recorded(model, known, stage1, check, check.accesses);
  const locks = locksBus(check.effective);
  // What an emulator reports, and what KVM emulates where accesses are trapped, comes from no bus.
  const onBus = platform.emulator === null && window.stage2.predicted !== TRAPPED;
  if (onBus && BUS_LOCKING.has(check.probe) && check.busLocks !== undefined && locks !== null) {
    const excludes = excludedByBusLock(model, known, stage1, locks);
    if (excludes.length > 0) return { speaksOf: 'type', excludes, blindBy: null };
  }
  const { probe, effective } = check;
  const predicted = predictedOutcomes(check);
  const alike = [check.window, probe, check.stage1, effective, ...(predicted ?? ['null'])].join();
  const before = weighedBefore.get(alike);
  if (before !== undefined) return before;
  const worth = worthOf(
    model,
    known,
    { probe, stage1, stage2: window.stage2.predicted, effective, predicted },
    platform.emulator,
  );
  weighedBefore.set(alike, worth);
  return worth;
}

/** What the model has to know of the platform that one window's guest ran on. */
export function platformOf({ platform, windows, checks }: Report, index: number): Platform {
  return {
    fwb: platform.fwb,
    faultForwarding: platform.faultForwarding ?? null,
    mte: checks.some((check) => check.window === index && showsMte(check)),
    nestedPaging: platform.nestedPaging ?? null,
    mtrr: MTRR_TYPES.find((type) => type === windows[index]?.mtrr) ?? null,
  };
}

const NOTHING: Worth = { speaksOf: 'function', excludes: [], blindBy: null };

/** Probes that lock the bus, or a cache line. */
export const BUS_LOCKING: ReadonlySet<ProbeName> = new Set(['atomic', 'locked-access']);

/** Timing is only ever a match where it told types apart; older versions named one by it. */
function timed(model: ArchitectureModel, platform: Platform, stage1: Stage1Type, check: Check): Worth {
  if (check.verdict !== 'match') return NOTHING;
  const excludes =
    check.timing === undefined
      ? excludedByTiming(model, platform, stage1, check.effective)
      : excludedByPaces(model, platform, stage1, pacesOf(check.timing));
  return excludes.length > 0 ? { speaksOf: 'type', excludes, blindBy: null } : NOTHING;
}

/** Of accesses as the CPU recorded them. */
function recorded(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  { verdict }: Check,
  accesses: AccessCounts,
): Worth {
  if (verdict !== 'match') return NOTHING;
  const seen = RECORDED.filter((as) => accesses[as] > 0);
  const excludes = [...new Set(seen.flatMap((as) => excludedByRecord(model, platform, stage1, as)))];
  return excludes.length > 0 ? { speaksOf: 'type', excludes, blindBy: null } : NOTHING;
}

function showsMte({ probe, observed }: Check): boolean {
  return probe === 'tag-retention' && observed !== null && observed !== 'not-present';
}

function predictedOutcomes({ predicted, alternatives = [] }: Check): readonly Outcome[] | null {
  return isNoOutcome(predicted) ? null : [predicted, ...alternatives];
}

function isNoOutcome(predicted: Check['predicted']): predicted is (typeof NO_OUTCOME)[number] {
  return NO_OUTCOME.some((none) => none === predicted);
}

function isKnown(effective: string): boolean {
  return effective !== '' && !effective.split(' or ').includes('unknown');
}
