import type { Outcome, ProbeName } from '../../memattr/index.ts';
import { formatSize } from '../../common/size.ts';
import { isContradicted } from './report.ts';
import type { Evidence, ReportWindow, Verdict } from './report.ts';

/** The words that every reporter uses for the same thing. */

/** The head of a probe's column, at most four characters. */
export const PROBE_SHORT: Readonly<Record<ProbeName, string>> = {
  'stage1-self-check': 'self',
  'unaligned-load': 'ld',
  'unaligned-store': 'st',
  'unaligned-load-simd': 'ldq',
  'unaligned-store-simd': 'stq',
  'unaligned-load-pair': 'ldp',
  'unaligned-store-pair': 'stp',
  'simd-half-aligned': 'ldq8',
  'zero-block': 'zva',
  exclusive: 'xcl',
  atomic: 'atom',
  fetch: 'exec',
  'data-read': 'rd',
  'data-write': 'wr',
  'tag-retention': 'tag',
  'store-bandwidth': 'bw',
  'load-latency': 'lat',
  'nt-store': 'nti',
  'nt-load': 'ntl',
  'direct-store': '64b',
  'cache-flush': 'clf',
  'fence-visibility': 'sfen',
  'locked-access': 'lock',
  'timing-class': 'time',
};

/** What the short names mean, those of one kind together. */
export const PROBE_LEGEND: readonly { probes: readonly ProbeName[]; meaning: string }[] = [
  { probes: ['stage1-self-check'], meaning: 'stage 1 is as asked' },
  { probes: ['unaligned-load', 'unaligned-store'], meaning: 'unaligned 64-bit load, store' },
  { probes: ['unaligned-load-simd', 'unaligned-store-simd'], meaning: '128-bit' },
  { probes: ['unaligned-load-pair', 'unaligned-store-pair'], meaning: 'pair' },
  { probes: ['simd-half-aligned'], meaning: '128-bit at 8' },
  { probes: ['zero-block'], meaning: 'DC ZVA' },
  { probes: ['exclusive'], meaning: 'exclusives' },
  { probes: ['atomic'], meaning: 'atomic add' },
  { probes: ['fetch'], meaning: 'instruction fetch' },
  { probes: ['data-read', 'data-write'], meaning: 'data from, to the host' },
  { probes: ['tag-retention'], meaning: 'MTE tag kept' },
  { probes: ['store-bandwidth', 'load-latency'], meaning: 'timing' },
  { probes: ['nt-store', 'nt-load'], meaning: 'non-temporal store, load' },
  { probes: ['direct-store'], meaning: 'MOVDIR64B' },
  { probes: ['cache-flush'], meaning: 'CLFLUSH' },
  { probes: ['fence-visibility'], meaning: 'the host sees it after SFENCE' },
  { probes: ['locked-access'], meaning: 'locked exchange' },
  { probes: ['timing-class'], meaning: 'the type by its timing' },
];

/** `short` has at most four characters, for the matrix; `medium` at most eleven, where there is room for a word. */
export const OUTCOME_WORDS: Readonly<Record<Outcome, { short: string; medium: string; meaning: string }>> = {
  ok: { short: 'ok', medium: 'ok', meaning: 'it worked' },
  'alignment-fault': { short: 'aln', medium: 'fault', meaning: 'alignment fault' },
  'vm-killed': { short: 'DIE', medium: 'VM ends', meaning: 'the VM was ended' },
  'external-abort': { short: 'ext', medium: 'abort', meaning: 'external abort' },
  'fetch-abort': { short: 'nox', medium: 'refused', meaning: 'fetch refused' },
  undefined: { short: 'und', medium: 'undefined', meaning: 'undefined instruction' },
  'atomic-fault': { short: 'atm', medium: 'fault', meaning: 'unsupported atomic access' },
  'other-fault': { short: 'flt', medium: 'other fault', meaning: 'another fault' },
  'wrong-data': { short: 'lost', medium: 'data lost', meaning: 'what was stored did not come back' },
  'not-present': { short: 'n/a', medium: 'not present', meaning: 'the CPU lacks it' },
};

export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  match: 'match',
  mismatch: 'mismatch',
  unobservable: 'not observable',
  erratum: 'erratum',
  skipped: 'skipped',
};

/** `22 errata`, `1 mismatch`. */
export function verdictCount(verdict: Verdict, count: number): string {
  const plural = { ...VERDICT_WORDS, mismatch: 'mismatches', erratum: 'errata', match: 'match' };
  return `${count} ${(count === 1 ? VERDICT_WORDS : plural)[verdict]}`;
}

/** As the user would write it, `bar2:64K-128K`; ordinary memory has no BAR to name. */
export function windowRange({ bar, offset, length, source }: ReportWindow): string {
  if (source === 'memory') return `memory, ${formatSize(BigInt(length))}`;
  return `bar${bar}:${formatSize(BigInt(offset))}-${formatSize(BigInt(offset + length))}`;
}

export function windowName(window: ReportWindow): string {
  return window.source === 'memory' ? windowRange(window) : `${windowRange(window)}=${window.attribute}`;
}

/** What the kernel programmed; what it does not tell is marked as predicted, unless the reader knows. */
export function evidenceText(evidence: Evidence & { reserved?: readonly string[] }, isMarked = true): string {
  const { predicted, programmed, reserved } = evidence;
  if (!isContradicted(evidence)) return programmed ?? (isMarked ? `${predicted} (predicted)` : predicted);
  const found =
    programmed === null || programmed === predicted ? `${reserved?.join(', ') || 'nothing'} on record` : programmed;
  return `${found} ✗ not ${predicted}`;
}
