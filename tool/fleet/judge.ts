/**
 * One report against what its kind of instance must show. Three answers: as expected, differs, not verified. Whatever is not known
 * is not verified: a field that is absent, a kind that no profile has, a report that proves nothing.
 */
import { ATTRIBUTES } from '../../memattr/index.ts';
import type { Attribute } from '../../memattr/index.ts';
import { EXIT } from '../../common/errors.ts';
import { exitCodeOf, proofOf } from '../report/proof.ts';
import { isContradicted, isControl } from '../report/report.ts';
import type { Evidence, Report, ReportWindow } from '../report/report.ts';
import { windowName } from '../report/words.ts';
import { deviceWindows } from './facts.ts';
import { parseDuration } from './duration.ts';
import type { Expected, Kind, Profile } from './profile.ts';

export const STATES = ['as expected', 'differs', 'not verified'] as const;

export type State = (typeof STATES)[number];

export interface Judgement {
  /** The kind's name; null: none of the profile's. */
  readonly kind: string | null;
  readonly state: State;
  /** A sentence each; none where all is as expected. Alike for hosts that are alike, so without ages or counts of their own. */
  readonly reasons: readonly string[];
}

export interface Rules {
  readonly profile: Profile;
  /** Milliseconds; null: reports do not grow old. */
  readonly maxAge: number | null;
  /** For the reader: `24h`. */
  readonly maxAgeText: string;
  readonly now: number;
}

/** A clock may be that much ahead of this one. */
const CLOCK_SKEW = 5 * 60_000;

export function rulesOf(profile: Profile, maxAge: string | undefined, now: number): Rules {
  const maxAgeText = maxAge ?? profile.maxAge ?? '';
  return { profile, maxAge: parseDuration(maxAgeText), maxAgeText, now };
}

/** @param listed the kind that the list of hosts gives it; undefined: there is no list */
export function judge(report: Report, rules: Rules, listed: string | undefined): Judgement {
  const found = kindOf(report, rules.profile, listed);
  if ('why' in found) return { kind: null, state: 'not verified', reasons: [found.why] };
  const { name, kind } = found;
  const unfit = [...unfitness(report, kind), ...age(report, rules)];
  if (unfit.length > 0) return { kind: name, state: 'not verified', reasons: unfit };
  const wrong = [
    ...(listed === undefined ? [] : unlikeKind(report, kind).map((what) => `not a ${name}: ${what}`)),
    ...contradictions(report),
    ...setupDifferences(report, kind),
    ...ATTRIBUTES.flatMap((attribute) => attributeDifferences(report, attribute, kind.attributes[attribute])),
    ...unacceptedHazards(report, kind),
  ];
  if (wrong.length > 0) return { kind: name, state: 'differs', reasons: wrong };
  const missing = [...uncovered(report, kind), ...evidence(report, kind)];
  return { kind: name, state: missing.length > 0 ? 'not verified' : 'as expected', reasons: missing };
}

function kindOf(
  report: Report,
  { kinds }: Profile,
  listed: string | undefined,
): { readonly name: string; readonly kind: Kind } | { readonly why: string } {
  if (listed !== undefined) {
    const kind = Object.hasOwn(kinds, listed) ? kinds[listed] : undefined;
    return kind === undefined ? { why: unknownKind(listed) } : { name: listed, kind };
  }
  const fitting = Object.entries(kinds).filter(
    ([, kind]) =>
      kind.match !== undefined && Object.keys(kind.match).length > 0 && unlikeKind(report, kind).length === 0,
  );
  const [first, second] = fitting;
  if (first === undefined) return { why: 'unknown kind: it matches none of the profile' };
  if (second !== undefined) return { why: `unknown kind: it matches ${first[0]} and ${second[0]}` };
  return { name: first[0], kind: first[1] };
}

export function unknownKind(name: string): string {
  return `unknown kind: the profile has no ${name}`;
}

/** What a kind's `match` asks for and the report does not say. */
function unlikeKind({ arch, platform, origin }: Report, { match = {} }: Kind): readonly string[] {
  const has: Readonly<Record<keyof typeof match, string | null | undefined>> = {
    arch,
    vendor: platform.vendor,
    nestedPaging: platform.nestedPaging,
    machine: origin?.machine,
    cpu: origin?.cpu.model,
    kernel: platform.kernel,
    emulator: platform.emulator,
  };
  return Object.entries(match).flatMap(([name, wanted]) => {
    const is = has[name as keyof typeof match];
    return is !== null && is !== undefined && [wanted].flat().includes(is)
      ? []
      : [`${name} is ${is ?? 'not known'}, expected ${anyOf(wanted)}`];
  });
}

/** Why nothing of the report counts. */
function unfitness(report: Report, kind: Kind): readonly string[] {
  const { command, device, platform, origin } = report;
  if (command !== 'verify' && command !== 'compare') return [`a report of ${command}, which verifies nothing`];
  if (origin?.asked.some((word) => word === '--predict' || word.startsWith('--predict=')))
    return ['made with --predict: its model is not the real one'];
  if (device.source === 'memory') return ['of memory instead of a BAR'];
  if (platform.emulator !== null && kind.emulated !== true) return [`emulated by ${platform.emulator}`];
  if (deviceWindows(report).length === 0) return ['it has no window'];
  return [];
}

function age({ origin }: Report, { maxAge, maxAgeText, now }: Rules): readonly string[] {
  if (maxAge === null) return [];
  const made = Date.parse(origin?.time ?? '');
  if (Number.isNaN(made)) return ['stale: it does not say when it was made'];
  if (made > now + CLOCK_SKEW) return ['stale: it was made in the future, by its own clock'];
  return now - made > maxAge ? [`stale: older than ${maxAgeText}`] : [];
}

function contradictions(report: Report): readonly string[] {
  const windows = report.windows.flatMap((window) => [
    ...contradiction(window, 'stage 2', window.stage2),
    ...contradiction(window, 'host mapping', window.hostVma),
  ]);
  const { mismatch } = report.summary;
  return [
    ...windows,
    ...(mismatch > 0 ? [`${mismatch} ${mismatch === 1 ? 'check is' : 'checks are'} not as predicted`] : []),
  ];
}

function contradiction(window: ReportWindow, what: string, evidenceOf: Evidence): readonly string[] {
  if (!isContradicted(evidenceOf)) return [];
  const { programmed, predicted } = evidenceOf;
  return [`${windowName(window)}: ${what} is ${programmed ?? 'unlike the record'}, not ${predicted} as predicted`];
}

function setupDifferences({ device }: Report, kind: Kind): readonly string[] {
  return [
    ...(kind.device === undefined || [kind.device].flat().includes(device.id ?? '')
      ? []
      : [`device is ${device.id ?? 'not known'}, expected ${anyOf(kind.device)}`]),
    ...(kind.source === undefined || kind.source === device.source
      ? []
      : [`mapped by ${device.source}, expected ${kind.source}`]),
  ];
}

function attributeDifferences(report: Report, attribute: Attribute, expected: Expected | undefined): readonly string[] {
  if (expected === undefined) return [];
  const differences = deviceWindows(report).flatMap((window) =>
    window.attribute === attribute ? windowDifferences(window, expected) : [],
  );
  return [...new Set(differences)];
}

function windowDifferences(window: ReportWindow, expected: Expected): readonly string[] {
  const { attribute, stage2, hostVma } = window;
  const { hostMapping } = expected;
  return [
    ...unexpected(attribute, 'stage 2', stage2, expected.stage2),
    ...(hostMapping === undefined ? [] : unexpected(attribute, 'host mapping', hostVma, hostMapping)),
    ...unlikeStrictness(attribute, window, expected),
  ];
}

function unexpected(
  attribute: Attribute,
  what: string,
  { programmed, predicted }: Evidence,
  wanted: string | readonly string[],
): readonly string[] {
  const is = programmed ?? predicted;
  return [wanted].flat().includes(is) ? [] : [`${attribute}: ${what} is ${is}, expected ${anyOf(wanted)}`];
}

function unlikeStrictness(attribute: Attribute, { strictness }: ReportWindow, { strict }: Expected): readonly string[] {
  if (strict === undefined || strictness === undefined || strictness.strict === strict) return [];
  return [`${attribute}: ${strictness.strict ? 'strict' : 'not strict'}, expected ${strict ? 'strict' : 'not strict'}`];
}

function unacceptedHazards(report: Report, { hazards: accepted = [] }: Kind): readonly string[] {
  return hazardsOf(report)
    .filter((id) => !accepted.includes(id))
    .map((id) => `silicon hazard ${id}, which the profile does not accept`);
}

/** Reports of versions that know no hazards have none. */
function hazardsOf(report: Report & { readonly hazards?: unknown }): readonly string[] {
  if (!Array.isArray(report.hazards)) return [];
  return report.hazards.map((hazard: unknown) =>
    typeof hazard === 'object' && hazard !== null && 'id' in hazard && typeof hazard.id === 'string'
      ? hazard.id
      : 'without a name',
  );
}

/** Attributes that the profile and the report do not have both. */
function uncovered(report: Report, { attributes }: Kind): readonly string[] {
  const windows = deviceWindows(report);
  return ATTRIBUTES.flatMap((attribute) => {
    const some = windows.filter((window) => window.attribute === attribute);
    const expected = attributes[attribute];
    if (expected === undefined)
      return some.length > 0 ? [`${attribute}: the profile does not say what it must become`] : [];
    if (some.length === 0) return [`${attribute}: no window has it`];
    return expected.strict !== undefined && some.some(({ strictness }) => strictness === undefined)
      ? [`${attribute}: the report does not say whether it is strict`]
      : [];
  });
}

function evidence(report: Report, { evidence: least = {}, attributes }: Kind): readonly string[] {
  const { stage2, notProven } = proofOf(report);
  const windows = [...report.windows.entries()].filter(([, window]) => !isControl(report, window));
  const count = (index: number): number =>
    report.checks.filter(
      ({ window, speaksOf, verdict }) => window === index && speaksOf === 'type' && verdict === 'match',
    ).length;
  const hostUnread = windows.filter(
    ([, { attribute, hostVma }]) => attributes[attribute]?.hostMapping !== undefined && hostVma.programmed === null,
  );
  const { observed } = least;
  return [
    ...(notProven.length > 0 || exitCodeOf(report) !== EXIT.match
      ? ['not proven: of some window nothing shows the memory type']
      : []),
    ...(least.programmed === true && stage2.shown < stage2.of
      ? ['not proven: stage 2 was not read back in every window']
      : []),
    ...(hostUnread.length > 0 ? ["not proven: the host's mapping was not read back"] : []),
    ...(observed !== undefined && windows.some(([index]) => count(index) < observed)
      ? [`not proven: fewer than ${observed} checks in some window could tell types apart`]
      : []),
    ...(least.whole === true && !windows.every(([, { coverage }]) => coverage && coverage.touched >= coverage.pages)
      ? ['not proven: not every page was touched']
      : []),
  ];
}

function anyOf(wanted: string | readonly string[]): string {
  return [wanted].flat().join(' or ');
}
