/** A fleet for a person: what is wrong, by kind and group; what is odd; the count. */
import { joinSections, paint, wrap } from '../../common/terminal.ts';
import type { Colour, Style } from '../../common/terminal.ts';
import type { State } from './judge.ts';
import type { Fleet, Group } from './tally.ts';

export const MARK: Readonly<Record<State, '✓' | '✗' | '?'>> = {
  'as expected': '✓',
  differs: '✗',
  'not verified': '?',
};

const COLOUR: Readonly<Record<State, Colour>> = { 'as expected': 'green', differs: 'red', 'not verified': 'yellow' };

/** Of one group; the others are in the JSON. */
const MOST_HOSTS = 20;

export function renderFleet(fleet: Fleet, style: Style): string {
  return joinSections([
    [paint(style, 'bold', 'wcvmm compare --expect')],
    ...kindsOf(fleet).map((kind) => kindLines(fleet, kind, style)),
    conclusion(fleet, style),
  ]);
}

function kindLines({ groups }: Fleet, kind: string | null, style: Style): readonly string[] {
  const own = groups.filter((group) => group.kind === kind);
  return [paint(style, 'bold', kindName(kind))].concat(...own.map((group) => groupLines(group, style)));
}

export function kindsOf({ groups }: Fleet): readonly (string | null)[] {
  return [...new Set(groups.map(({ kind }) => kind))];
}

export function kindName(kind: string | null): string {
  return kind ?? 'unknown kind';
}

function groupLines({ state, reasons, hosts, odd }: Group, style: Style): readonly string[] {
  const head = `  ${MARK[state]} ${state.padEnd(12)} `;
  const lines = wrap(
    head,
    `${hosts.length} ${hosts.length === 1 ? 'host' : 'hosts'}: ${hostsText(hosts)}`,
    style.columns,
  );
  const inner = ' '.repeat(head.length);
  return [
    ...lines.map((line) => paint(style, COLOUR[state], line)),
    ...reasons.flatMap((reason) => wrap(inner, reason, style.columns)),
    ...(odd.length > 0 ? wrap(`${inner}≠ `, odd.join('; '), style.columns) : []),
  ];
}

export function hostsText(hosts: readonly string[], most = MOST_HOSTS): string {
  const more = hosts.length - most;
  return `${hosts.slice(0, most).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

export function countText({ counts, hosts }: Fleet): string {
  const parts = Object.entries(counts).filter(([state, count]) => count > 0 && state !== 'as expected');
  return `${counts['as expected']} of ${hosts} ${hosts === 1 ? 'host' : 'hosts'} as expected${parts.map(([state, count]) => `, ${count} ${count > 1 && state === 'differs' ? 'differ' : state}`).join('')}`;
}

function conclusion(fleet: Fleet, style: Style): string[] {
  const isGood = isAsExpected(fleet);
  return wrap(isGood ? '✓ ' : '✗ ', countText(fleet), style.columns).map((line) =>
    paint(style, isGood ? 'green' : 'red', line),
  );
}

/** A fleet without hosts is not as expected. */
export function isAsExpected({ counts, hosts }: Fleet): boolean {
  return hosts > 0 && counts['as expected'] === hosts;
}
