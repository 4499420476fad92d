import { PROBES } from '../../memattr/index.ts';
import type { Note } from './notes.ts';
import { type Check, type Report, type ReportWindow, type Verdict, isControl } from './report.ts';
import { type Colour, type Style, paint, wrap } from '../../common/terminal.ts';
import { OUTCOME_WORDS, shortProbe } from './words.ts';

/** A match has no mark: what is as it should be must not compete with what is not. */
export const MARK: Readonly<Record<Verdict, string>> = {
  match: '',
  mismatch: '✗',
  unobservable: '?',
  erratum: '!',
  skipped: '-',
};
export const VERDICT_COLOUR: Readonly<Record<Verdict, Colour>> = {
  match: 'green',
  mismatch: 'red',
  unobservable: 'dim',
  erratum: 'yellow',
  skipped: 'dim',
};

/** One line of the matrix: a label, then cells; a window's title is a line with no cells. */
interface MatrixLine {
  label: string;
  cells: readonly TextCell[];
  colour: Colour | null;
}

export interface TextCell {
  text: string;
  colour: Colour | null;
}

/**
 * Stage-1 types down, probes across, one block of lines per window; a cell is what the guest saw, a mark and its note. A probe
 * with the same answer everywhere needs no column.
 */
export function renderMatrix(report: Report, notes: readonly Note[], style: Style): string[] {
  const asked = PROBES.filter((probe) => report.checks.some((check) => check.probe === probe));
  const numberOf = new Map(notes.flatMap(({ number, checks }) => checks.map((check) => [check, number] as const)));
  const answers = new Map(
    asked.map((probe) => [
      probe,
      new Set(report.checks.filter((check) => check.probe === probe).map((check) => cellOf(check, numberOf).text)),
    ]),
  );
  const probes = asked.filter((probe) => answers.get(probe)?.size !== 1);
  const alike = asked
    .filter((probe) => !probes.includes(probe))
    .map((probe) => `${shortProbe(probe)} ${[...(answers.get(probe) ?? [])].join('')}`);
  if (probes.length === 0) return layOut(effectiveTypes(report), style).concat(everywhere(alike, style));
  const types = isBlind(report);
  const head = probes.map((probe): TextCell => ({ text: shortProbe(probe), colour: 'dim' }));
  const lines: MatrixLine[] = [
    { label: '  stage 1', cells: types ? [{ text: 'gets (computed)', colour: 'dim' }, ...head] : head, colour: 'dim' },
  ];
  for (const [index, window] of report.windows.entries()) {
    const checks = report.checks.filter((check) => check.window === index && check.offset === undefined);
    if (checks.length === 0) continue;
    const what = isControl(report, window) ? 'control, ordinary memory' : window.attribute;
    lines.push({
      label: `${index} ${what}, stage 2 ${window.stage2.programmed ?? window.stage2.predicted}`,
      cells: [],
      colour: 'bold',
    });
    for (const stage1 of new Set(checks.map((check) => check.stage1))) {
      const cells = probes.map((probe) =>
        cellOf(
          checks.find((check) => check.stage1 === stage1 && check.probe === probe),
          numberOf,
        ),
      );
      const gets = checks.find((check) => check.stage1 === stage1)?.effective ?? '';
      lines.push({
        label: `  ${stage1}`,
        cells: types ? [{ text: gets, colour: null }, ...cells] : cells,
        colour: null,
      });
    }
  }
  return layOut(lines, style).concat(everywhere(alike, style));
}

function everywhere(alike: readonly string[], style: Style): string[] {
  return alike.length > 0 ? wrap('  everywhere: ', alike.join(', '), style.columns) : [];
}

/** Where every answer is the same, what differs is what the guest gets: windows down, stage-1 types across. */
function effectiveTypes({ windows, checks }: Report): readonly MatrixLine[] {
  const stage1Types = [...new Set(checks.map(({ stage1 }) => stage1))];
  const rows = windows.map((window, index): MatrixLine => ({
    label: `${index} ${titleOf(window)}`,
    cells: stage1Types.map((stage1) => ({
      text: checks.find((check) => check.window === index && check.stage1 === stage1)?.effective ?? '',
      colour: null,
    })),
    colour: 'bold',
  }));
  return [
    { label: '  a guest that asks for', cells: stage1Types.map((text) => ({ text, colour: 'dim' })), colour: 'dim' },
    ...rows,
  ];
}

function titleOf(window: ReportWindow): string {
  const { programmed, predicted } = window.stage2;
  return `${window.source === 'memory' ? 'memory' : window.attribute}, stage 2 ${programmed ?? predicted}, gets (computed)`;
}

/** Where only `ok` is ever predicted, outcomes say nothing about types: the effective types must be shown. */
function isBlind({ checks }: Report): boolean {
  return checks.every(({ predicted }) => predicted === 'ok' || predicted === 'any' || predicted === 'measurement');
}

function cellOf(check: Check | undefined, numberOf: ReadonlyMap<Check, number>): TextCell {
  if (!check) return { text: '', colour: null };
  const outcome = check.observed === null ? '' : OUTCOME_WORDS[check.observed].short;
  return {
    text: `${outcome}${MARK[check.verdict]}${numberOf.get(check) ?? ''}`,
    colour: VERDICT_COLOUR[check.verdict],
  };
}

/** Columns as narrow as their cells allow; those that do not fit beside the others go into a second matrix below. */
function layOut(lines: readonly MatrixLine[], style: Style): string[] {
  const rows = lines.filter(({ cells }) => cells.length > 0);
  const label = Math.max(...rows.map((line) => line.label.length)) + 1;
  const widths = (rows[0]?.cells ?? []).map(
    (_, column) => Math.max(...rows.map(({ cells }) => cells[column]?.text.length ?? 0)) + 1,
  );
  const blocks: number[][] = [];
  let room = 0;
  for (const [column, width] of widths.entries()) {
    if (room < width || blocks.length === 0) {
      blocks.push([]);
      room = style.columns - label + 1;
    }
    blocks.at(-1)?.push(column);
    room -= width;
  }
  return blocks.flatMap((columns, block) =>
    lines
      .map((line) =>
        layOutLine(
          line,
          columns.map((column) => ({ cell: line.cells[column], width: widths[column] ?? 0 })),
          label,
          style,
        ),
      )
      .concat(block + 1 < blocks.length ? [''] : []),
  );
}

function layOutLine(
  line: MatrixLine,
  columns: readonly { cell: TextCell | undefined; width: number }[],
  label: number,
  style: Style,
): string {
  const head = line.colour ? paint(style, line.colour, line.label) : line.label;
  const last = columns.findLastIndex(({ cell }) => cell !== undefined && cell.text !== '');
  const cells = columns
    .slice(0, last + 1)
    .map(({ cell, width }, index) => paintCell(cell, index === last ? 0 : width, style));
  return cells.length === 0 ? head : head + ' '.repeat(label - line.label.length) + cells.join('');
}

function paintCell(cell: TextCell | undefined, width: number, style: Style): string {
  if (!cell) return ' '.repeat(width);
  return (
    (cell.colour ? paint(style, cell.colour, cell.text) : cell.text) + ' '.repeat(Math.max(0, width - cell.text.length))
  );
}
