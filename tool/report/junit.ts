import type { Case, Suite } from './cases.ts';
import { suitesOf } from './cases.ts';
import { escapeMarkup as x } from './escape.ts';
import type { NamedReport } from './machine.ts';

/**
 * JUnit's XML as CI servers read it. A mismatch is a failure; what is not proven an error; what could not be observed or was skipped is skipped with
 * its reason, and so is an erratum, since the format has no word for a failure that is known. There are no times: how
 * long a check took says nothing.
 */
export function formatJunit(reports: readonly NamedReport[]): string {
  const suites = suitesOf(reports);
  const lines = suites.flatMap(suiteLines);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="wcvmm" ${counts(suites.flatMap(({ cases }) => cases))}>\n${lines.join('\n')}\n</testsuites>\n`;
}

function counts(cases: readonly Case[]): string {
  const number = (...kinds: readonly Case['result']['kind'][]): number =>
    cases.filter(({ result }) => kinds.includes(result.kind)).length;
  return `tests="${cases.length}" failures="${number('failed')}" errors="${number('not proven')}" skipped="${number('skipped', 'known')}"`;
}

function suiteLines({ name, machine, window, facts, cases }: Suite): readonly string[] {
  return [
    `  <testsuite name="${x(name)}" ${counts(cases)}>`,
    `    <properties><property name="machine" value="${x(facts)}"/></properties>`,
    ...cases.map((one) => caseLine(`${inClassName(machine)}.${inClassName(window)}`, one)),
    '  </testsuite>',
  ];
}

/** Readers take what stands before the last dot for a package. */
function inClassName(text: string): string {
  return text.replaceAll('.', '_');
}

function caseLine(className: string, { group, name, result, detail }: Case): string {
  const open = `    <testcase classname="${x(className)}" name="${x(`${group} ${name}`)}"`;
  switch (result.kind) {
    case 'passed':
      return `${open}/>`;
    case 'failed':
      return `${open}><failure type="mismatch" message="${x(result.why)}">${x(detailText(detail))}</failure></testcase>`;
    case 'not proven':
      return `${open}><error type="not proven" message="${x(result.why)}">${x(detailText(detail))}</error></testcase>`;
    case 'skipped':
      return `${open}><skipped message="${x(result.why)}"/></testcase>`;
    case 'known':
      return `${open}><skipped message="${x(`erratum ${result.why}`)}"/></testcase>`;
  }
}

function detailText(detail: Case['detail']): string {
  return Object.entries(detail)
    .map(([name, value]) => `${name}: ${value ?? 'not known'}`)
    .join('; ');
}
