import type { Case, Suite } from './cases.ts';
import { suitesOf } from './cases.ts';
import type { NamedReport } from './machine.ts';

/**
 * TAP 14: a subtest per window. What could not be observed is SKIP with its reason; an erratum is TODO, which is not
 * ok and fails nothing; a mismatch is not ok, and neither is what is not proven, with what was predicted, programmed and observed below it.
 */
export function formatTap(reports: readonly NamedReport[]): string {
  const suites = suitesOf(reports);
  const plan = suites.length === 0 ? '1..0 # SKIP the report has no windows' : `1..${suites.length}`;
  return `${['TAP version 14', plan, ...suites.flatMap(suiteLines)].join('\n')}\n`;
}

function suiteLines({ name, facts, cases }: Suite, index: number): readonly string[] {
  const failed = cases.some(({ result }) => result.kind === 'failed' || result.kind === 'not proven');
  return [
    `# Subtest: ${inTap(name)}`,
    `    # ${inTap(facts)}`,
    `    1..${cases.length}`,
    ...cases.flatMap(caseLines),
    `${failed ? 'not ok' : 'ok'} ${index + 1} - ${inTap(name)}`,
  ];
}

function caseLines({ group, name, result, detail }: Case, index: number): readonly string[] {
  const point = `${index + 1} - ${inTap(`${group} ${name}`)}`;
  switch (result.kind) {
    case 'passed':
      return [`    ok ${point}`];
    case 'skipped':
      return [`    ok ${point} # SKIP ${inTap(result.why)}`];
    case 'known':
      return [`    not ok ${point} # TODO ${inTap(result.why)}`];
    case 'failed':
    case 'not proven':
      return [
        `    not ok ${point}`,
        '      ---',
        `      severity: ${result.kind}`,
        `      message: ${inYaml(result.why)}`,
        ...Object.entries(detail).map(([key, value]) => `      ${key}: ${inYaml(value)}`),
        '      ...',
      ];
  }
}

/** One line, in which `#` starts no directive. */
function inTap(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\u{2028}\u{2029}]+/gu, ' ')
    .replaceAll('\\', '\\\\')
    .replaceAll('#', String.raw`\#`);
}

/** A double-quoted scalar: JSON's strings are some, once what YAML takes for a line's end is written as a number. */
function inYaml(value: string | null): string {
  return JSON.stringify(value).replaceAll(
    /[\u{7f}-\u{9f}\u{2028}\u{2029}\u{feff}]/gu,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
