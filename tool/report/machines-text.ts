/** Machines side by side, for a person: a column per machine, a block of rows per attribute, then what differs and what cannot be compared. */
import { number } from './bench.ts';
import type { NamedReport } from './machine.ts';
import { deviceFacts, machineFacts } from './machine.ts';
import { compareMachines } from './machines.ts';
import type { Measured, MachineAttribute } from './machine-attribute.ts';
import type { CheckOnMachine, AttributeRow, Difference } from './machines.ts';
import { MARK } from './matrix.ts';
import { VERDICTS } from './report.ts';
import type { Summary } from './report.ts';
import { joinSections, paint, wrap } from '../../common/terminal.ts';
import type { Style } from '../../common/terminal.ts';
import { OUTCOME_WORDS, VERDICT_WORDS, evidenceText } from './words.ts';

const LABEL = 19;
/** Less than this cuts the types' names. */
const NARROWEST = 22;
const GAP = 2;

/** @param reports two or more */
export function renderMachines(reports: readonly NamedReport[], style: Style): string {
  const comparison = compareMachines(reports);
  const letters = reports.map((_, index) => letterOf(index));
  const perBlock = Math.max(1, Math.floor((style.columns - LABEL) / (NARROWEST + GAP)));
  const blocks = Array.from({ length: Math.ceil(reports.length / perBlock) }, (_, block) =>
    reports.map((_named, index) => index).slice(block * perBlock, (block + 1) * perBlock),
  );
  const sections = [
    heading(reports, letters, style),
    ...blocks.map((columns) => blockOf(columns, reports, comparison.attributes, style)),
    whyNotStrict(comparison.attributes, letters, style),
    differences(comparison.differences, letters, style),
    limits(reports, letters, style),
    comparison.incomparable.flatMap((what) => wrap('  not compared: ', what, style.columns)),
    legend(style),
  ];
  return joinSections(sections);
}

function letterOf(index: number): string {
  const letter = String.fromCodePoint(65 + (index % 26));
  return index < 26 ? letter : `${letter}${Math.floor(index / 26)}`;
}

function heading(reports: readonly NamedReport[], letters: readonly string[], style: Style): string[] {
  const title = paint(style, 'bold', `wcvmm compare: ${reports.length} machines`);
  return [title].concat(
    reports.flatMap(({ report }, index) =>
      wrap(`  ${letters[index] ?? ''}  `, machineFacts(report), style.columns).concat(
        wrap('     ', deviceFacts(report), style.columns),
      ),
    ),
  );
}

interface TextRow {
  readonly label: string;
  readonly cells: readonly string[];
  readonly differs?: boolean;
}

function blockOf(
  columns: readonly number[],
  reports: readonly NamedReport[],
  attributes: readonly AttributeRow[],
  style: Style,
): string[] {
  const width = Math.max(NARROWEST, Math.floor((style.columns - LABEL) / columns.length) - GAP);
  const head = columns.map((index) => `${letterOf(index)} ${reports[index]?.name ?? ''}`);
  const lines = layOut({ label: '', cells: head }, width).map((line) => paint(style, 'bold', line));
  for (const row of attributes) {
    lines.push(paint(style, 'bold', row.attribute));
    for (const line of attributeRows(row, columns))
      lines.push(...layOut(line, width).map((text) => (line.differs === true ? paint(style, 'yellow', text) : text)));
  }
  const totals = columns.map((index) => tally(reports[index]?.report.summary));
  return lines.concat(paint(style, 'bold', 'all checks'), layOut({ label: '', cells: totals }, width));
}

function attributeRows(
  { machines, differs, combinedDiffers }: AttributeRow,
  columns: readonly number[],
): readonly TextRow[] {
  const entries = columns.map((index) => machines[index] ?? null);
  const cells = (cell: (entry: MachineAttribute) => string): string[] =>
    entries.map((entry) => (entry === null ? 'no such window' : cell(entry)));
  const isMeasured = entries.some((entry) => entry !== null && entry.measured !== null);
  const combined = entries.map((entry) => entry?.combined ?? []);
  const types = Array.from({ length: Math.max(0, ...combined.map(({ length }) => length)) }, (_, row) =>
    combined.map((pairs) => pairs[row]),
  );
  return [
    {
      label: 'host mapping',
      cells: cells(({ hostVma }) => evidenceText(hostVma)),
      differs: differs.includes('hostVma'),
    },
    { label: 'stage 2', cells: cells(({ stage2 }) => evidenceText(stage2)), differs: differs.includes('stage2') },
    { label: 'strict', cells: cells(strictText), differs: differs.includes('strictness') },
    ...types.map((pairs, row) => ({
      label: row === 0 ? 'effective type' : '',
      cells: pairs.map(pairOf),
      differs: pairs.some((pair) => pair !== undefined && combinedDiffers.includes(pair.stage1)),
    })),
    ...(isMeasured ? [{ label: 'stores', cells: cells(({ measured }) => measuredText(measured, 'stores')) }] : []),
    ...(isMeasured
      ? [{ label: 'write to visible', cells: cells(({ measured }) => measuredText(measured, 'writeToVisible')) }]
      : []),
    ...(isMeasured && entries.every((entry) => entry?.observed.of === 0)
      ? []
      : [{ label: 'type observed', cells: cells(({ observed }) => `by ${observed.shown} of ${observed.of} checks`) }]),
    { label: 'checks', cells: cells(({ summary }) => tally(summary)) },
  ];
}

/** A figure that is not of hardware says so itself. */
export function measuredText(measured: Measured | null, what: 'stores' | 'writeToVisible'): string {
  const figure = measured?.[what];
  if (measured === null || figure === undefined || figure === null) return 'not measured';
  return `${number(figure.median)} ${figure.unit} (${measured.stage1})${measured.meaningless ? ' not hardware' : ''}`;
}

function strictText({ strictness, trapped }: MachineAttribute): string {
  if (strictness === null) return 'not known';
  return strictness.strict ? `yes${trapped === null ? '' : ', trapped'}` : 'no';
}

/** nGnRE is short for Device-nGnRE. */
function pairOf(pair: MachineAttribute['combined'][number] | undefined): string {
  return pair === undefined ? '' : `${pair.stage1} → ${pair.effective || 'unknown'}`.replaceAll('Device-', '');
}

function tally(summary: Summary | undefined): string {
  if (summary === undefined) return '';
  const some = VERDICTS.filter((verdict) => summary[verdict] > 0).map(
    (verdict) => `${MARK[verdict] || '✓'}${summary[verdict]}`,
  );
  return some.length > 0 ? some.join(' ') : 'none';
}

/** A row whose cells wrap under their own heads; a row that differs is marked in front. */
function layOut({ label, cells, differs = false }: TextRow, width: number): string[] {
  const wrapped = cells.map((cell) => wrap('', cell, width));
  const height = Math.max(...wrapped.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => {
    const head = line === 0 ? `${differs ? '≠' : ' '} ${label}` : '';
    return (
      head.padEnd(LABEL) + wrapped.map((lines) => (lines[line] ?? '').padEnd(width)).join(' '.repeat(GAP))
    ).trimEnd();
  });
}

/** Only where the machines differ in it. */
function whyNotStrict(attributes: readonly AttributeRow[], letters: readonly string[], style: Style): string[] {
  return attributes
    .filter(({ differs }) => differs.includes('strictness'))
    .flatMap(({ attribute, machines }) =>
      machines.flatMap((entry, index) => {
        const why = entry?.strictness?.strict === false ? entry.strictness.why : null;
        return why === null
          ? []
          : wrap('≠ ', `${attribute} is not strict on ${letters[index] ?? ''}: ${why}`, style.columns).map((line) =>
              paint(style, 'yellow', line),
            );
      }),
    );
}

/** Checks with the same results share a line: stage-1 types of one probe, then probes with the same types, then attributes. */
function differences(all: readonly Difference[], letters: readonly string[], style: Style): string[] {
  const byProbe = groupBy(all, ({ attribute, probe, machines }) =>
    JSON.stringify([attribute, probe, answersText(machines, letters)]),
  ).map((group) => ({
    answers: answersText(group[0]?.machines ?? [], letters),
    attribute: group[0]?.attribute,
    probe: group[0]?.probe,
    types: [...new Set(group.map(({ stage1 }) => stage1))].join(', '),
  }));
  const byTypes = groupBy(byProbe, ({ attribute, answers, types }) => JSON.stringify([attribute, answers, types])).map(
    ([first, ...others]) => ({ first, probes: [first, ...others].map((one) => one?.probe).join(', ') }),
  );
  return groupBy(byTypes, ({ first, probes }) => JSON.stringify([first?.answers, first?.types, probes])).flatMap(
    (group) => {
      const [{ first, probes } = { first: undefined, probes: '' }] = group;
      if (first === undefined) return [];
      const attributes = group.map((one) => one.first?.attribute).join(', ');
      const head = wrap('≠ ', `${attributes}: ${probes} under stage 1 ${first.types}`, style.columns).map((line) =>
        paint(style, 'yellow', line),
      );
      return head.concat(wrap('    ', first.answers, style.columns));
    },
  );
}

function groupBy<T>(all: readonly T[], keyOf: (one: T) => string): readonly (readonly T[])[] {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return [...groups.values()];
}

/** The effective type only where the machines do not agree on it. */
function answersText(machines: readonly (CheckOnMachine | null)[], letters: readonly string[]): string {
  const alike = new Set(machines.flatMap((answer) => (answer === null ? [] : [answer.effective]))).size === 1;
  const texts = machines.flatMap((answer, index) => {
    if (answer === null) return [];
    const { observed, verdict, effective } = answer;
    const seen = observed === null ? 'no result' : OUTCOME_WORDS[observed].meaning;
    return [
      `${letters[index] ?? ''}: ${seen} (${VERDICT_WORDS[verdict]}${alike ? '' : `, ${effective || 'type unknown'}`})`,
    ];
  });
  return texts.join('; ');
}

/** What is not proven, each reason once. */
function limits(reports: readonly NamedReport[], letters: readonly string[], style: Style): string[] {
  const byLimit = new Map<string, string[]>();
  for (const [index, { report }] of reports.entries()) {
    for (const limit of report.limits ?? []) byLimit.set(limit, [...(byLimit.get(limit) ?? []), letters[index] ?? '']);
  }
  return [...byLimit].flatMap(([limit, whose]) =>
    wrap('  not proven on ', `${whose.join(', ')}: ${limit}`, style.columns).map((line) => paint(style, 'dim', line)),
  );
}

function legend(style: Style): string[] {
  const marks = VERDICTS.map((verdict) => `${MARK[verdict] || '✓'} ${VERDICT_WORDS[verdict]}`);
  const text = `${marks.join(', ')}; ≠ comparable and different; effective type: the guest's stage 1 → what it combines to with stage 2 (computed)`;
  return wrap('  ', text, style.columns).map((line) => paint(style, 'dim', line));
}
