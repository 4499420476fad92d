import { OUTCOMES } from '../../memattr/index.ts';
import { formatSize } from '../../common/size.ts';
import { MARK, VERDICT_COLOUR, renderMatrix } from './matrix.ts';
import { deviceFacts, guestFacts, machineFacts } from './machine.ts';
import { type Note, anyOf, collectNotes, groupMismatches, pagesOfGroup, reasonOf } from './notes.ts';
import { type Report, type ReportWindow, isContradicted } from './report.ts';
import { type Style, joinSections, paint, table, wrap } from '../../common/terminal.ts';
import { hazardLines, ruleLines } from './hazards-text.ts';
import { proofLines } from './proof-text.ts';
import { busLockLines, windowNotes } from './window-notes.ts';
import { OUTCOME_WORDS, evidenceText, predictedText, probeLegend, windowName, windowRange } from './words.ts';

/** The report for a person: where it was run, the windows, one matrix per window, what is not a match and why, the summary. */
export function renderReport(report: Report, style: Style): string {
  const notes = collectNotes(report.checks);
  const sections = [
    header(report, style),
    windowTable(report, style),
    ...(report.checks.length > 0 ? [renderMatrix(report, notes, style), legend(report, style)] : []),
    noteList(notes, style),
    busLockLines(report, style),
    ruleLines(report, style),
    mismatchList(report, style),
    hazardLines(report.hazards ?? [], style),
    limitList(report, style),
    summary(report, style),
  ];
  return joinSections(sections);
}

/** The command, the machine, the device. */
export function header(report: Report, style: Style): string[] {
  const guest = guestFacts(report);
  return [
    paint(style, 'bold', `wcvmm ${report.command}`),
    `  ${machineFacts(report)}`,
    `  ${deviceFacts(report)}`,
    ...(guest === null ? [] : wrap('  ', guest, style.columns)),
  ];
}

/** @param order indexes of the windows to show; all of them by default */
export function windowTable(
  report: Report,
  style: Style,
  order: readonly number[] = [...report.windows.keys()],
): string[] {
  const { windows } = report;
  const read = {
    hostVma: windows.some(({ hostVma }) => hostVma.programmed !== null || hostVma.observed !== undefined),
    stage2: windows.some(({ stage2 }) => stage2.programmed !== null),
  };
  const head = [
    '',
    'window',
    'attribute',
    columnHead('host mapping', read.hostVma),
    columnHead('stage 2', read.stage2),
    'block',
  ];
  const rows = order.flatMap((index) => {
    const window = windows[index];
    return window ? [{ window, cells: windowCells(index, window, read) }] : [];
  });
  const [top = '', ...lines] = table([head, ...rows.map(({ cells }) => cells)], '  ');
  return [paint(style, 'dim', top)].concat(
    lines.map((line, row) => paintWindow(line, rows[row]?.window, style)),
    windowNotes(report, style, order),
  );
}

function windowCells(index: number, window: ReportWindow, read: { hostVma: boolean; stage2: boolean }): string[] {
  const { attribute, hostVma, stage2 } = window;
  const block = stage2.blockSize === null ? '-' : formatSize(BigInt(stage2.blockSize));
  return [
    String(index),
    windowRange(window),
    attribute,
    evidenceText(hostVma, read.hostVma),
    evidenceText(stage2, read.stage2),
    block,
  ];
}

function columnHead(name: string, isRead: boolean): string {
  return isRead ? name : `${name} (predicted)`;
}

function paintWindow(line: string, window: ReportWindow | undefined, style: Style): string {
  return window && (isContradicted(window.hostVma) || isContradicted(window.stage2)) ? paint(style, 'red', line) : line;
}

function legend({ checks }: Report, style: Style): string[] {
  const outcomes = OUTCOMES.filter((outcome) => checks.some(({ observed }) => observed === outcome));
  const seen = outcomes.map((outcome) => `${OUTCOME_WORDS[outcome].short} ${OUTCOME_WORDS[outcome].meaning}`);
  const probes = probeLegend(new Set(checks.map(({ probe }) => probe))).map(
    ({ shorts, meaning }) => `${shorts} ${meaning}`,
  );
  const lines = [
    ...wrap('  probes: ', probes.join('; '), style.columns),
    ...wrap('  seen:   ', seen.join('; '), style.columns),
  ];
  return lines.map((line) => paint(style, 'dim', line));
}

function noteList(notes: readonly Note[], style: Style): string[] {
  return notes.flatMap(({ number, verdict, text }) => {
    const head = `  ${`${MARK[verdict]}${number}`.padEnd(4)}${verdict.padEnd(13)}`;
    const [first = '', ...others] = wrap(head, text, style.columns);
    others.unshift(paint(style, VERDICT_COLOUR[verdict], head) + first.slice(head.length));
    return others;
  });
}

export function mismatchList({ windows, checks }: Report, style: Style): string[] {
  return groupMismatches(checks).flatMap((group) => {
    const [first] = group;
    const window = first && windows[first.window];
    if (!window) return [];
    const probes = [...new Set(group.map(({ probe }) => probe))].join(', ');
    const types = anyOf(group.map(({ stage1 }) => stage1));
    const together = anyOf(group.map(({ effective }) => effective));
    const { predicted, programmed } = window.stage2;
    const head = wrap(
      '✗ mismatch  ',
      `${windowName(window)}${pagesOfGroup(group)}: ${probes} under stage 1 ${types}`,
      style.columns,
    ).map((line) => paint(style, 'red', line));
    return head.concat(
      wrap(
        '  predicted   ',
        `${predictedText(first)}, for ${together} = stage 1 ${types} with stage 2 ${predicted}`,
        style.columns,
      ),
      wrap(
        '  programmed  ',
        programmed === null ? 'not known: it was not read back' : `stage 2 ${programmed}`,
        style.columns,
      ),
      wrap('  observed    ', first.observed ?? 'nothing', style.columns),
      wrap('  why         ', reasonOf(group), style.columns),
    );
  });
}

/** Silence would read as proof. */
export function limitList({ limits = [] }: Report, style: Style): string[] {
  return limits.flatMap((limit) =>
    wrap('  not proven  ', limit, style.columns).map((line) => paint(style, 'dim', line)),
  );
}

const LINE_COLOUR = { '✓': 'green', '–': 'dim', '✗': 'red', '?': 'yellow', ' ': 'dim' } as const;

/** What is proven, in three lines, and a fourth where something is wrong or nothing is proven. */
export function summary(report: Report, style: Style): string[] {
  return proofLines(report).flatMap(({ mark, name, text }) =>
    wrap(`${mark} ${name.padEnd(12)}`, text, style.columns).map((line) => paint(style, LINE_COLOUR[mark], line)),
  );
}
