/** The three lines of a verdict: what was programmed, what was observed, what works; and what is wrong, or not proven. */
import type { Part, Proof } from './proof.ts';
import { exitCodeOf, proofOf } from './proof.ts';
import { EXIT } from '../../common/errors.ts';
import { isContradicted, isControl } from './report.ts';
import type { Report } from './report.ts';
import { anyOf } from './notes.ts';

export interface ProofLine {
  /** ✓ it shows the types, – it shows nothing of them, ✗ it contradicts them, ? nothing shows them. */
  readonly mark: '✓' | '–' | '✗' | '?' | ' ';
  readonly name: string;
  readonly text: string;
}

export function proofLines(report: Report): readonly ProofLine[] {
  const proof = proofOf(report);
  if (report.checks.length === 0) return [programmed(report, proof), ...conclusion(report, proof)];
  return [
    programmed(report, proof),
    ...combined(proof),
    observed(report, proof),
    { mark: ' ', name: 'function', text: works(report, proof) },
    ...conclusion(report, proof),
  ];
}

function programmed({ windows }: Report, { stage2, hostVma, pages }: Proof): ProofLine {
  const wrong = windows.some((window) => isContradicted(window.hostVma) || isContradicted(window.stage2));
  return {
    mark: wrong ? '✗' : stage2.shown > 0 ? '✓' : '–',
    name: 'programmed',
    text: `stage 2 as predicted in ${ratio(stage2)} windows${pagesText(pages?.readBack ?? null, pages)}, the host's mapping in ${ratio(hostVma)}`,
  };
}

/** A second reader of the tables: the CPU itself. */
function combined({ combined: part }: Proof): readonly ProofLine[] {
  if (part.of === 0) return [];
  return [
    {
      mark: part.shown < part.of ? '✗' : '✓',
      name: 'combined',
      text: `what guests get is as computed in ${ratio(part)} cases, by the CPU's own walk of both stages (AT S12E1R)`,
    },
  ];
}

function pagesText(some: number | null, pages: Proof['pages']): string {
  return some === null || pages === null ? '' : ` (${some} of ${pages.of} pages)`;
}

/** Checks of the device's windows that a guest answered. */
function answered(report: Report): number {
  const isDevice = report.windows.map((window) => !isControl(report, window));
  return report.checks.filter(({ window, observed: outcome }) => outcome !== null && isDevice[window] === true).length;
}

function observed(report: Report, { checks: { type }, hostLoads, notToldApart, pages }: Proof): ProofLine {
  const { guest } = report;
  const by = guest === undefined ? 'by' : 'by a Linux guest,';
  const isWrong = type.shown < type.of || hostLoads.shown < hostLoads.of;
  const mark = isWrong ? '✗' : type.of > 0 ? '✓' : '–';
  const host =
    hostLoads.of === 0
      ? ''
      : `; the host's own loads show Device or Normal as predicted in ${ratio(hostLoads)} windows`;
  if (type.of === 0) {
    const text = `${by} 0 of ${answered(report)} checks: none could tell one memory type from another${host}`;
    return { mark, name: 'observed', text };
  }
  const apart = notToldApart.map(({ type: one, from }) => `${one} from ${anyOf(from)}`);
  return {
    mark,
    name: 'observed',
    text: `${by} ${ratio(type)} checks that can tell types apart${pagesText(pages && pages.touched - pages.unlike, pages)}${apart.length > 0 ? `; nothing told ${apart.join(', nor ')}` : ''}${host}`,
  };
}

function works({ summary, platform }: Report, { checks }: Proof): string {
  const parts = [
    ...(checks.function.of > 0 ? [`${ratio(checks.function)} checks that accesses work`] : []),
    ...(checks.stage1.of > 0 ? [`${ratio(checks.stage1)} of the guest's own stage 1`] : []),
    ...(checks['kvm-policy'].of > 0 ? [`${ratio(checks['kvm-policy'])} of what KVM lets a guest execute`] : []),
    ...(summary.erratum > 0
      ? [
          `${summary.erratum} ${summary.erratum === 1 ? 'erratum' : 'errata'} of ${platform.emulator ?? 'this platform'}`,
        ]
      : []),
    ...(summary.unobservable > 0 ? [`${summary.unobservable} not observable`] : []),
    ...(summary.skipped > 0 ? [`${summary.skipped} skipped`] : []),
  ];
  return parts.join(', ') || 'nothing else was checked';
}

function conclusion(report: Report, { notProven }: Proof): readonly ProofLine[] {
  const { windows, summary } = report;
  switch (exitCodeOf(report)) {
    case EXIT.mismatch: {
      const wrong = windows.filter(({ hostVma, stage2 }) => isContradicted(hostVma) || isContradicted(stage2)).length;
      const what = [
        ...(summary.mismatch > 0 ? [count(summary.mismatch, 'check')] : []),
        ...(wrong > 0 ? [count(wrong, 'window')] : []),
      ];
      return [{ mark: '✗', name: 'mismatch', text: `${what.join(' and ')} not as predicted` }];
    }
    case EXIT.notProven: {
      const which = `window${notProven.length === 1 ? '' : 's'} ${notProven.join(', ')}`;
      return [{ mark: '?', name: 'not proven', text: `${which}: ${NOT_PROVEN}` }];
    }
    case EXIT.failed:
      return [{ mark: '?', name: 'not proven', text: 'no check was carried out' }];
    case EXIT.match:
      return [];
  }
}

/** Of a window. */
export const NOT_PROVEN = 'the memory type was neither read back from the kernel nor observed by a guest';

function ratio({ shown, of }: Part): string {
  return `${shown} of ${of}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
