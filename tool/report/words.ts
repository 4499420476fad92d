import { ATTRIBUTES, PROBES } from '../../memattr/index.ts';
import type { Attribute, Outcome, ProbeName } from '../../memattr/index.ts';
import { formatSize } from '../../common/size.ts';
import { isContradicted } from './report.ts';
import type { Check, Evidence, HostEvidence, ReportWindow, Verdict } from './report.ts';

/** The words that every reporter uses for the same thing. */

const RELAXED: Readonly<Record<Attribute, number>> = { device: 0, default: 1, wc: 2 };

/** The order of comparisons. */
export const STRICTEST_FIRST: readonly Attribute[] = ATTRIBUTES.toSorted((a, b) => RELAXED[a] - RELAXED[b]);

interface ProbeWords {
  /** The head of the probe's column, at most four characters. */
  readonly short: string;
  /** Probes of one kind have the same. */
  readonly meaning: string;
}

const UNALIGNED_64 = 'unaligned 64-bit load, store';
const UNALIGNED_128 = '128-bit';
const UNALIGNED_PAIR = 'pair';
const DATA = 'data from, to the host';
const TIMING = 'timing';
const NON_TEMPORAL = 'data by non-temporal store, load';

const PROBE_WORDS: Readonly<Record<ProbeName, ProbeWords>> = {
  'stage1-self-check': { short: 'self', meaning: 'stage 1 is as set' },
  'unaligned-load': { short: 'ld', meaning: UNALIGNED_64 },
  'unaligned-store': { short: 'st', meaning: UNALIGNED_64 },
  'unaligned-load-simd': { short: 'ldq', meaning: UNALIGNED_128 },
  'unaligned-store-simd': { short: 'stq', meaning: UNALIGNED_128 },
  'unaligned-load-pair': { short: 'ldp', meaning: UNALIGNED_PAIR },
  'unaligned-store-pair': { short: 'stp', meaning: UNALIGNED_PAIR },
  'simd-half-aligned': { short: 'ldq8', meaning: '128-bit at 8' },
  'zero-block': { short: 'zva', meaning: 'DC ZVA' },
  exclusive: { short: 'xcl', meaning: 'exclusives' },
  atomic: { short: 'atom', meaning: 'atomic add' },
  fetch: { short: 'exec', meaning: 'instruction fetch' },
  'data-read': { short: 'rd', meaning: DATA },
  'data-write': { short: 'wr', meaning: DATA },
  'tag-retention': { short: 'tag', meaning: 'MTE tag kept' },
  'store-bandwidth': { short: 'bw', meaning: TIMING },
  'load-latency': { short: 'lat', meaning: TIMING },
  'nt-store': { short: 'nti', meaning: NON_TEMPORAL },
  'nt-load': { short: 'ntl', meaning: NON_TEMPORAL },
  'direct-store': { short: '64b', meaning: 'MOVDIR64B' },
  'cache-flush': { short: 'clf', meaning: 'data kept over CLFLUSH' },
  'fence-visibility': { short: 'sfen', meaning: 'data to the host, SFENCE' },
  'locked-access': { short: 'lock', meaning: 'data by locked exchange' },
  'timing-class': { short: 'time', meaning: 'memory type by timing' },
};

export function shortProbe(probe: ProbeName): string {
  return PROBE_WORDS[probe].short;
}

/** What the short names of `probes` mean, those of one kind together. */
export function probeLegend(probes: ReadonlySet<ProbeName>): readonly { shorts: string; meaning: string }[] {
  const legend = new Map<string, string[]>();
  for (const probe of PROBES.filter((one) => probes.has(one))) {
    const { short, meaning } = PROBE_WORDS[probe];
    legend.set(meaning, [...(legend.get(meaning) ?? []), short]);
  }
  return [...legend].map(([meaning, shorts]) => ({ shorts: shorts.join(' '), meaning }));
}

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

/** `alignment-fault`, or `alignment-fault or vm-killed` where both are. */
export function predictedText({ predicted, alternatives = [] }: Pick<Check, 'predicted' | 'alternatives'>): string {
  return [predicted, ...alternatives].join(' or ');
}

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

type ShownEvidence = Evidence & Readonly<Pick<HostEvidence, 'observed'>> & { readonly reserved?: readonly string[] };

/** What the kernel programmed; what was not read back is marked as predicted, unless the reader knows. */
export function evidenceText(evidence: ShownEvidence, isMarked = true): string {
  const { predicted, programmed, reserved, observed } = evidence;
  if (!isContradicted(evidence)) {
    if (programmed !== null) return programmed;
    return observed === undefined
      ? isMarked
        ? `${predicted} (predicted)`
        : predicted
      : `${predicted} (${observed} seen)`;
  }
  if (programmed === null && observed !== undefined) return `${observed} seen ✗ not ${predicted}`;
  const found =
    programmed === null || programmed === predicted ? `${reserved?.join(', ') || 'nothing'} on record` : programmed;
  return `${found} ✗ not ${predicted}`;
}
