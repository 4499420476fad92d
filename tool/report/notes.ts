import { formatSize } from '../../common/size.ts';
import type { Check, Verdict } from './report.ts';
import { predictedText } from './words.ts';

/** Reasons that several checks share, numbered in the order of their first check. */
export interface Note {
  number: number;
  verdict: Verdict;
  text: string;
  checks: readonly Check[];
}

/** Every check that has a note and is no mismatch: those are listed on their own. */
export function collectNotes(checks: readonly Check[]): readonly Note[] {
  const noted = checks.filter(({ verdict, note }) => note !== null && verdict !== 'match' && verdict !== 'mismatch');
  return groupBy(noted, (check) => `${check.verdict} ${template(check)}`).map((group, index) => ({
    number: index + 1,
    verdict: group[0]?.verdict ?? 'skipped',
    text: reasonOf(group),
    checks: group,
  }));
}

/** Mismatches that differ only in probe and memory types share an entry. */
export function groupMismatches(checks: readonly Check[]): readonly (readonly Check[])[] {
  const wrong = checks.filter(({ verdict }) => verdict === 'mismatch');
  return groupBy(wrong, (check) =>
    JSON.stringify([check.window, check.offset === undefined, predictedText(check), check.observed, template(check)]),
  );
}

/** ` at +1M, +2M` of checks that were made elsewhere than at their window's start; else nothing. */
export function pagesOfGroup(group: readonly Check[]): string {
  const known = new Set(group.flatMap(({ offset }) => offset ?? []));
  const offsets = [...known].map((offset) => `+${formatSize(BigInt(offset))}`);
  const more = offsets.length > SHOWN_PAGES ? ` and ${offsets.length - SHOWN_PAGES} other pages` : '';
  return offsets.length === 0 ? '' : ` at ${offsets.slice(0, SHOWN_PAGES).join(', ')}${more}`;
}

const SHOWN_PAGES = 8;

/** The types that a reason may name, and what stands for them in its template; no reason contains control characters. */
const NAMES = [
  ['\u{1}', ({ effective }: Check): string => effective],
  ['\u{2}', ({ stage1 }: Check): string => stage1],
] as const;

/** The reason without the types' names: "this may fail on X" and "this may fail on Y" are one reason about X and Y. */
function template(check: Check): string {
  return NAMES.reduce(
    (text, [mark, nameIn]) => (nameIn(check) === '' ? text : text.replaceAll(nameIn(check), mark)),
    check.note ?? '',
  );
}

/** The one reason of checks that were grouped by it, about all of their types. */
export function reasonOf(group: readonly Check[]): string {
  const [first] = group;
  return first
    ? NAMES.reduce((text, [mark, nameIn]) => text.replaceAll(mark, anyOf(group.map(nameIn))), template(first))
    : '';
}

/** `a`, `a or b`, `a, b or c`; each name once. */
export function anyOf(names: readonly string[]): string {
  const some = [...new Set(names)];
  const last = some.pop() ?? '';
  return some.length > 0 ? `${some.join(', ')} or ${last}` : last;
}

function groupBy(checks: readonly Check[], keyOf: (check: Check) => string): readonly (readonly Check[])[] {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const key = keyOf(check);
    const group = groups.get(key);
    if (group) group.push(check);
    else groups.set(key, [check]);
  }
  return [...groups.values()];
}
