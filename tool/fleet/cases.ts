/** A fleet as CI servers read it: a suite per kind, a test case per host. Only what is as expected passes. */
import { escapeMarkup as x } from '../report/escape.ts';
import type { State } from './judge.ts';
import { kindName, kindsOf } from './text.ts';
import type { Fleet, Group } from './tally.ts';

interface Case {
  readonly host: string;
  readonly group: Group;
}

function casesOf(groups: readonly Group[]): readonly Case[] {
  return groups.flatMap((group) => group.hosts.map((host) => ({ host, group })));
}

const ELEMENT: Readonly<Record<Exclude<State, 'as expected'>, string>> = {
  differs: 'failure',
  'not verified': 'error',
};

export function formatFleetJunit(fleet: Fleet): string {
  const suites = kindsOf(fleet).map((kind) => {
    const cases = casesOf(fleet.groups.filter((group) => group.kind === kind));
    const lines = cases.map((one) => junitCase(kindName(kind), one)).join('\n');
    return `  <testsuite name="${x(kindName(kind))}" ${counts(cases)}>\n${lines}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="wcvmm fleet" ${counts(casesOf(fleet.groups))}>\n${suites.join('\n')}\n</testsuites>\n`;
}

function counts(cases: readonly Case[]): string {
  const number = (state: State): number => cases.filter(({ group }) => group.state === state).length;
  return `tests="${cases.length}" failures="${number('differs')}" errors="${number('not verified')}" skipped="0"`;
}

/** Readers take what stands before the last dot for a package. */
function junitCase(kind: string, { host, group: { state, reasons, odd } }: Case): string {
  const open = `    <testcase classname="${x(kind.replaceAll('.', '_'))}" name="${x(host)}"`;
  if (state === 'as expected') return `${open}/>`;
  const [first = state, ...others] = reasons;
  const element = ELEMENT[state];
  return `${open}><${element} type="${state}" message="${x(first)}">${x([...others, ...odd].join('; '))}</${element}></testcase>`;
}

export function formatFleetTap(fleet: Fleet): string {
  const cases = casesOf(fleet.groups);
  const lines = cases.map(({ host, group: { kind, state, reasons } }, index) => {
    const name = escaped(`${kindName(kind)} ${host}`);
    return state === 'as expected'
      ? `ok ${index + 1} - ${name}`
      : `not ok ${index + 1} - ${name}\n  ---\n  severity: ${state}\n  message: ${JSON.stringify(reasons.join('; '))}\n  ...`;
  });
  return `TAP version 14\n1..${cases.length}${cases.length === 0 ? ' # SKIP no host' : ''}\n${lines.join('\n')}\n`;
}

/** What begins a directive is none. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('#', '\\#');
}
