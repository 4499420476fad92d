import type { Check, Verdict } from './report.ts';

/** Reasons that several checks share, numbered in the order of their first check. */
export interface Note {
  number: number;
  verdict: Verdict;
  text: string;
  checks: readonly Check[];
}

/** Every check that has a note and is no mismatch: those are listed on their own. */
export function collectNotes(checks: readonly Check[]): readonly Note[] {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    if (check.note === null || check.verdict === 'match' || check.verdict === 'mismatch') continue;
    const key = `${check.verdict} ${check.note}`;
    const group = groups.get(key);
    if (group) group.push(check);
    else groups.set(key, [check]);
  }
  return [...groups.values()].map((group, index) => ({ number: index + 1, verdict: group[0]?.verdict ?? 'skipped', text: group[0]?.note ?? '', checks: group }));
}

/** Mismatches that differ only in stage-1 type and probe, to be told once. */
export function groupMismatches(checks: readonly Check[]): readonly (readonly Check[])[] {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    if (check.verdict !== 'mismatch') continue;
    const key = JSON.stringify([check.window, check.effective, check.predicted, check.observed, check.note]);
    const group = groups.get(key);
    if (group) group.push(check);
    else groups.set(key, [check]);
  }
  return [...groups.values()];
}
