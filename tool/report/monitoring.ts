/**
 * What a verification found, for monitoring: gauges as node_exporter's textfile collector reads them, and labels as Node Feature
 * Discovery's local source does. Also of one that failed: what stood there before must not go on saying that all is well.
 */
import { EXIT } from '../../common/errors.ts';
import { exitCodeOf, proofOf } from './proof.ts';
import { VERDICTS, isContradicted, isControl } from './report.ts';
import type { Report, ReportWindow } from './report.ts';

export const RESULTS = ['match', 'mismatch', 'not-proven', 'error'] as const;

export type Result = (typeof RESULTS)[number];

/** A report, or the code of the error because of which there is none. */
export type Verification =
  | { readonly report: Report; readonly time: Date }
  | { readonly report: null; readonly error: string; readonly time: Date };

export function resultOf({ report }: Verification): Result {
  if (report === null) return 'error';
  switch (exitCodeOf(report)) {
    case EXIT.match:
      return 'match';
    case EXIT.mismatch:
      return 'mismatch';
    case EXIT.notProven:
      return 'not-proven';
    case EXIT.failed:
      return 'error';
  }
}

export function formatPrometheus(verification: Verification): string {
  const { report, time } = verification;
  const result = resultOf(verification);
  return [
    metric(
      'wcvmm_verify_result',
      'What the last wcvmm verify came to: 1 for one of its results, 0 for the others.',
      RESULTS.map((one) => [{ result: one }, one === result ? 1 : 0]),
    ),
    metric('wcvmm_verify_timestamp_seconds', 'When the last wcvmm verify ended, whatever came of it.', [
      [{}, Math.floor(time.getTime() / 1000)],
    ]),
    ...(report === null ? [] : reportMetrics(report)),
  ].join('');
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

function reportMetrics(report: Report): readonly string[] {
  const { notProven } = proofOf(report);
  const windows = [...report.windows.entries()].filter(([, window]) => !isControl(report, window));
  return [
    metric(
      'wcvmm_verify_checks',
      'Checks by verdict.',
      VERDICTS.map((verdict) => [{ verdict }, report.summary[verdict]]),
    ),
    metric(
      'wcvmm_window_proven',
      'Whether the memory type of a window was read back or observed, and is as predicted.',
      windows.map(([index, window]) => [
        {
          ...labelsOf(report, index, window),
          predicted: window.stage2.predicted,
          programmed: window.stage2.programmed ?? '',
        },
        notProven.includes(index) || isWrong(report, index, window) ? 0 : 1,
      ]),
    ),
    metric(
      'wcvmm_window_size_bytes',
      'Bytes of a window.',
      windows.map(([index, window]) => [labelsOf(report, index, window), window.length]),
    ),
  ];
}

function isWrong({ checks }: Report, index: number, { stage2, hostVma }: ReportWindow): boolean {
  return (
    isContradicted(stage2) ||
    isContradicted(hostVma) ||
    checks.some(({ window, verdict }) => window === index && verdict === 'mismatch')
  );
}

function labelsOf({ device }: Report, index: number, { bar, attribute, offset }: ReportWindow): Record<string, string> {
  return {
    device: device.address ?? 'memory',
    window: String(index),
    bar: String(bar),
    offset: String(offset),
    attribute,
  };
}

function metric(name: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => {
    const inner = Object.entries(labels).map(([key, text]) => `${key}="${quoted(text)}"`);
    return `${name}${inner.length > 0 ? `{${inner.join(',')}}` : ''} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`;
}

/** By the text format: these three, and no others, are escaped. */
function quoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** How long Node Feature Discovery believes the labels. */
const LABELS_HOURS = 24;

/** Its own, which it lets local sources use; the name after it has at most 63 characters. */
const NAMESPACE = 'feature.node.kubernetes.io/wcvmm.';

export function formatFeatureLabels(verification: Verification): string {
  const { report, time } = verification;
  const expires = new Date(time.getTime() + LABELS_HOURS * 3_600_000);
  const labels: Readonly<Record<string, string>> = {
    result: resultOf(verification),
    ...(report === null ? { error: verification.error } : windowLabels(report)),
  };
  const lines = Object.entries(labels).map(([name, value]) => `${NAMESPACE}${name}=${labelValue(value)}\n`);
  return `# +expiry-time=${expires.toISOString().slice(0, 19)}Z\n${lines.join('')}`;
}

/** Only what was shown; of windows of one attribute that became different things, that they did. */
function windowLabels(report: Report): Readonly<Record<string, string>> {
  const { notProven } = proofOf(report);
  const types = new Map<string, Set<string>>();
  for (const [index, window] of report.windows.entries()) {
    if (isControl(report, window)) continue;
    const shown =
      notProven.includes(index) || isWrong(report, index, window)
        ? 'not proven'
        : (window.stage2.programmed ?? window.stage2.predicted);
    types.set(window.attribute, (types.get(window.attribute) ?? new Set()).add(shown));
  }
  return Object.fromEntries(
    [...types].map(([attribute, shown]) => [`stage2.${attribute}`, shown.size === 1 ? [...shown].join('') : 'several']),
  );
}

const LONGEST_VALUE = 63;

/** By Kubernetes: at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit. `UC-` is no such value. */
export function labelValue(text: string): string {
  return text
    .replaceAll(/UC-(?![\w])/g, 'UC-minus')
    .replaceAll(/[^\w.-]+/g, '_')
    .slice(0, LONGEST_VALUE)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
}
