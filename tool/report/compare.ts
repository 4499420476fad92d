import { type Arch, type Attribute, MODELS, PROBES } from '../../memattr/index.ts';
import { combinesNote, noticed } from './driver.ts';
import { MARK, type TextCell, VERDICT_COLOUR } from './matrix.ts';
import { collectNotes } from './notes.ts';
import { type Check, type Report, isControl } from './report.ts';
import { type Colour, type Style, joinSections, paint, wrap } from '../../common/terminal.ts';
import { header, limitList, mismatchList, summary, windowTable } from './text.ts';
import { OUTCOME_WORDS, STRICTEST_FIRST } from './words.ts';

/** The strictest stage-1 type, and the one that a driver uses for write-combining. */
function comparedTypes(arch: Arch): readonly [strict: string, relaxed: string] {
  const { stage1Types, combiningType } = MODELS[arch];
  return [stage1Types[0]?.name ?? '', combiningType];
}

/** Most relaxed first: what one attribute takes away from the one before is then to its right. */
const ORDER: readonly Attribute[] = STRICTEST_FIRST.toReversed();

interface AttributeChecks {
  attribute: Attribute;
  /** Of its window in the report. */
  index: number;
  checks: readonly Check[];
}

/**
 * Attributes side by side: per probe what a guest sees whose stage 1 is the strictest there is, and one whose stage 1
 * is what a driver uses for write-combining; then one line per attribute that says what such a driver would notice.
 * Of several windows with one attribute the first is shown.
 */
export function renderCompare(report: Report, style: Style): string {
  const types = comparedTypes(report.arch);
  const attributes = checksByAttribute(report);
  const sections = [
    header(report, style),
    windowTable(
      report,
      style,
      attributes.map(({ index }) => index),
    ),
    comparison(attributes, types, style),
    notes(
      attributes.flatMap(({ checks }) => checks.filter(({ stage1 }) => types.includes(stage1))),
      style,
    ),
    mismatchList(report, style),
    limitList(report, style),
    noticedLines(report, attributes, types[1], style),
    summary(report, style),
  ];
  return joinSections(sections);
}

function checksByAttribute(report: Report): readonly AttributeChecks[] {
  return ORDER.flatMap((attribute) => {
    const index = report.windows.findIndex((window) => window.attribute === attribute && !isControl(report, window));
    return index >= 0 ? [{ attribute, index, checks: report.checks.filter((check) => check.window === index) }] : [];
  });
}

/** One group of columns per stage-1 type, one column per attribute in it; what is alike everywhere needs no row. */
function comparison(attributes: readonly AttributeChecks[], types: readonly string[], style: Style): string[] {
  if (attributes.length === 0) return ['  There is no window to compare.'];
  const columns = types.flatMap((stage1) =>
    attributes.map(({ attribute, checks }) => ({
      attribute,
      checks: checks.filter((check) => check.stage1 === stage1),
    })),
  );
  const probes = PROBES.filter((probe) => columns.some(({ checks }) => checks.some((check) => check.probe === probe)));
  const rows = probes.map((probe) => ({
    probe,
    cells: columns.map(({ checks }) => cellOf(checks.find((check) => check.probe === probe))),
  }));
  const lines: readonly ComparisonLine[] = [
    { label: '', cells: columns.map(({ attribute }) => ({ text: attribute, colour: 'bold' })) },
    // Six columns do not fit with Device- in each: nGnRE is short for it.
    {
      label: 'effective type',
      cells: columns.map(({ checks }) => ({
        text: (checks[0]?.effective ?? '').replace('Device-', ''),
        colour: 'dim',
      })),
    },
    ...rows.filter((row) => !isAlike(row)).map(({ probe, cells }) => ({ label: probe, cells })),
  ];
  const alike = rows.filter(isAlike).map(({ probe, cells }) => `${probe} ${cells[0]?.text ?? ''}`);
  return layOut(lines, types, style).concat(
    alike.length > 0 ? wrap('  the same: ', alike.join(', '), style.columns) : [],
  );
}

interface ComparisonLine {
  label: string;
  cells: readonly TextCell[];
}

function isAlike({ cells }: { cells: readonly TextCell[] }): boolean {
  return new Set(cells.map(({ text }) => text)).size === 1;
}

function layOut(lines: readonly ComparisonLine[], types: readonly string[], style: Style): string[] {
  const label = Math.max(...lines.map((line) => line.label.length)) + 4;
  const width = Math.max(...lines.flatMap(({ cells }) => cells.map(({ text }) => text.length))) + 2;
  const perGroup = (lines[0]?.cells.length ?? 0) / types.length;
  const title = ' '.repeat(label) + types.map((stage1) => `guest stage 1 ${stage1}`.padEnd(perGroup * width)).join(' ');
  return [title.trimEnd()].concat(
    lines.map(({ label: name, cells }) => {
      const painted = cells.map(({ text, colour }, index) => {
        const gap =
          index + 1 === cells.length ? '' : ' '.repeat(width - text.length + ((index + 1) % perGroup === 0 ? 1 : 0));
        return (colour ? paint(style, colour, text) : text) + gap;
      });
      return `  ${name}`.padEnd(label) + painted.join('');
    }),
  );
}

function cellOf(check: Check | undefined): TextCell {
  if (!check) return { text: '', colour: null };
  const seen = check.observed === null ? 'skipped' : OUTCOME_WORDS[check.observed].medium;
  return { text: check.observed === null ? seen : seen + MARK[check.verdict], colour: VERDICT_COLOUR[check.verdict] };
}

function notes(checks: readonly Check[], style: Style): string[] {
  return collectNotes(checks).flatMap(({ verdict, text, checks }) => {
    const probes = [...new Set(checks.map(({ probe }) => probe))].join(', ');
    return painted(`  ${MARK[verdict]} `, `${probes}: ${text}`, VERDICT_COLOUR[verdict], style);
  });
}

function noticedLines(
  { platform }: Report,
  attributes: readonly AttributeChecks[],
  stage1: string,
  style: Style,
): string[] {
  const lines = attributes.flatMap(({ attribute, checks }) =>
    painted(
      `${attribute}: `.padEnd(9),
      noticed(
        stage1,
        checks.filter((check) => check.stage1 === stage1),
      ),
      'bold',
      style,
    ),
  );
  return lines.concat(
    wrap('         ', combinesNote(platform.emulator), style.columns).map((line) => paint(style, 'dim', line)),
  );
}

function painted(head: string, text: string, colour: Colour, style: Style): string[] {
  const [first = '', ...others] = wrap(head, text, style.columns);
  others.unshift(paint(style, colour, head) + first.slice(head.length));
  return others;
}
