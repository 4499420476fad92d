import { kindOfType } from '../../memattr/index.ts';
import type { ProbeName, TypeKind } from '../../memattr/index.ts';
import type { Check, Predicted } from './report.ts';

/** A driver's accesses to its BAR, as probes. */
const STORES: readonly ProbeName[] = ['unaligned-store', 'unaligned-store-simd', 'unaligned-store-pair'];
const LOADS: readonly ProbeName[] = ['unaligned-load', 'unaligned-load-simd', 'unaligned-load-pair'];

/** What a driver's accesses do. */
const FATE: Readonly<Record<Predicted, string>> = {
  ok: 'work',
  'alignment-fault': 'fault',
  'vm-killed': 'end the whole VM',
  'external-abort': 'abort',
  'fetch-abort': 'are refused as fetches',
  undefined: 'are undefined',
  'atomic-fault': 'fault',
  'other-fault': 'fault',
  'wrong-data': 'lose data',
  'not-present': 'do not exist on this CPU',
  any: 'may do anything',
  measurement: 'are measured',
};

/**
 * One line: what a driver that maps a window as `stage1` notices of the window's attribute. Everything in it is taken
 * from the checks; a star marks what they only predict, and `combinesNote` says why.
 *
 * @param checks those of the window under `stage1`
 */
export function noticed(stage1: string, checks: readonly Check[]): string {
  const [first] = checks;
  if (!first) return `nothing is known: the report has no checks under stage 1 ${stage1}`;
  const becomes = first.effective === stage1 ? `stays ${stage1}` : `becomes ${first.effective}`;
  const [stores, loads] = [STORES, LOADS].map((probes) => fateOf(checks.filter(({ probe }) => probes.includes(probe))));
  const accesses =
    stores === loads
      ? [['unaligned accesses', stores]]
      : [
          ['unaligned stores', stores],
          ['unaligned loads', loads],
        ];
  const known = accesses.flatMap(([what, fate]) => (fate ? [`${what} ${fate}`] : []));
  return `a driver's ${stage1} ${becomes}: ${[...known, COMBINING[kindOfType(first.effective)]].join(', ')}`;
}

/** What the star of `noticed` means: no probe sees combining itself, only what else comes with the memory type. */
export function combinesNote(emulator: string | null): string {
  return `* predicted only: ${emulator === null ? 'no probe sees it' : `${emulator} does not model it`}. The rest is what the guest saw.`;
}

/** What is cached combines, too. */
const COMBINING: Readonly<Record<TypeKind, string>> = {
  strict: 'no write combining*',
  combining: 'write combining possible*',
  cached: 'write combining possible*',
  unknown: 'whether stores combine is not known',
};

/** Empty when nothing was asked. */
function fateOf(checks: readonly Check[]): string {
  return [...new Set(checks.map(oneFate))].join(' or ');
}

function oneFate({ predicted, alternatives = [], observed, verdict }: Check): string {
  const expected = [...new Set([predicted, ...alternatives].map(wordFor))].join(' or ');
  const found = wordFor(observed);
  if (observed === null) return `${expected}*`;
  if (verdict === 'erratum') return `${expected}* (here they ${found}, a known deviation)`;
  if (verdict === 'mismatch' && expected !== found) return `${found} (the model says they ${expected})`;
  return found;
}

function wordFor(outcome: Predicted | null): string {
  return outcome === null ? '' : FATE[outcome];
}
