/** What bench measured, for a person: bursts by size, bursts by stride, latencies; a row per window and stage-1 type. */
import { isControl } from './report.ts';
import type { Bench, Figure, Quantity, Report } from './report.ts';
import { paint, table, wrap } from './terminal.ts';
import type { Style } from './terminal.ts';
import { header, limitList, windowTable } from './text.ts';

export function renderBench(report: Report, style: Style): string {
  const { bench } = report;
  const sections = [
    header(report, style),
    ...(bench === undefined ? [['  The report has no measurements.']] : [warning(bench, style), windowTable(report, style), ...tables(report, bench, style), notes(bench, style)]),
    limitList(report, style),
    bench === undefined ? [] : warning(bench, style),
  ];
  return sections.filter((lines) => lines.length > 0).map((lines) => `${lines.join('\n')}\n`).join('\n');
}

/** First and last, since a terminal shows the end of what a person scrolls past. */
function warning({ meaningless }: Bench, style: Style): string[] {
  return meaningless === null ? [] : wrap('!! NOT HARDWARE: ', meaningless, style.columns).map((line) => paint(style, 'yellow', line));
}

/** One table: figures of a quantity, a column per value of what varies. */
export interface Series {
  readonly title: string;
  readonly quantity: Quantity;
  /** The heads, with the figures that stand under each. */
  readonly columns: readonly { readonly head: string; readonly has: (figure: Figure) => boolean }[];
}

export const WORD = 8;
export const LARGEST = 4096;

/** The tables that a report's figures fill. */
export function seriesOf(figures: readonly Figure[]): readonly Series[] {
  const stores = figures.filter(({ quantity }) => quantity === 'store-bandwidth');
  const unit = stores[0]?.unit ?? '';
  const time = figures.find(({ quantity }) => quantity !== 'store-bandwidth')?.unit ?? '';
  const sizes = ascending(stores.filter(({ stride }) => stride === WORD).map(({ size }) => size));
  const strides = ascending(stores.filter(({ size }) => size === LARGEST).map(({ stride }) => stride));
  const latencies = (['load-latency', 'write-to-visible'] as const).filter((quantity) => figures.some((figure) => figure.quantity === quantity));
  const all: readonly Series[] = [
    { title: `stores, ${unit}, by the size of the burst in bytes`, quantity: 'store-bandwidth', columns: sizes.map((size) => ({ head: String(size), has: (figure) => figure.stride === WORD && figure.size === size })) },
    { title: `stores, ${unit}, over ${LARGEST} bytes, by the stride in bytes`, quantity: 'store-bandwidth', columns: strides.map((stride) => ({ head: String(stride), has: (figure) => figure.size === LARGEST && figure.stride === stride })) },
    ...latencies.map((quantity): Series => ({ title: `${quantity === 'load-latency' ? 'load latency' : 'write to visible, there and back'}, ${time}`, quantity, columns: [{ head: 'median', has: () => true }] })),
  ];
  return all.filter(({ columns }) => columns.length > 0);
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function tables(report: Report, { figures }: Bench, style: Style): readonly string[][] {
  const series = seriesOf(figures);
  const wide = series.filter(({ columns }) => columns.length > 1);
  const narrow = series.filter(({ columns }) => columns.length === 1);
  return [
    ...wide.map(({ title, quantity, columns }) => tableOf(report, title, columns.map(({ head, has }) => ({ head, of: figures.filter((figure) => figure.quantity === quantity && has(figure)) })), style)),
    ...(narrow.length > 0 ? [tableOf(report, narrow.map(({ title }) => title).join('; '), narrow.map(({ quantity }) => ({ head: quantity, of: figures.filter((figure) => figure.quantity === quantity) })), style)] : []),
  ];
}

function tableOf(report: Report, title: string, columns: readonly { readonly head: string; readonly of: readonly Figure[] }[], style: Style): string[] {
  const rows = rowsOf(report).map(({ label, window, stage1 }) => {
    const found = columns.map(({ of }) => of.find((figure) => figure.window === window && figure.stage1 === stage1));
    return [label].concat(
      found.map((figure) => (figure === undefined ? '' : number(figure.median))),
      spread(found.filter((figure) => figure !== undefined)),
    );
  });
  const heads = ['window, asked → got', ...columns.map(({ head }) => head), 'spread'];
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const right = [heads, ...rows].map((row) => row.map((cell, column) => (column === 0 ? cell : cell.padStart(widths[column] ?? 0))));
  const [head = '', ...lines] = table(right, '  ');
  return [paint(style, 'bold', title), paint(style, 'dim', head), ...lines];
}

/** In the order of the figures. */
export function rowsOf(report: Report): readonly { readonly label: string; readonly window: number; readonly stage1: string; readonly effective: string }[] {
  const seen = new Map<string, { label: string; window: number; stage1: string; effective: string }>();
  for (const { window, stage1, effective } of report.bench?.figures ?? []) {
    const of = report.windows[window];
    if (of === undefined) continue;
    const name = isControl(report, of) ? 'control' : of.attribute;
    seen.set(`${window} ${stage1}`, { label: `${window} ${name} ${stage1} → ${effective || 'unknown'}`.replaceAll('Device-', ''), window, stage1, effective });
  }
  return [...seen.values()];
}

/** At most five characters as long as it is below a hundred thousand. */
export function number(value: number): string {
  return value >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** Half of what lies between the quartiles, at worst, in percent of the median. */
function spread(figures: readonly Figure[]): string {
  const worst = Math.max(0, ...figures.map(({ median, low, high }) => (median > 0 ? (high - low) / 2 / median : 0)));
  return `±${Math.round(worst * 100)}%`;
}

function notes({ runs }: Bench, style: Style): string[] {
  const text = `medians of ${runs} runs; spread: half of the distance between the quartiles, the row's worst. A burst ends with a barrier: its stores have arrived. Control: ordinary memory, which shows what the loop itself costs`;
  return wrap('  ', text, style.columns).map((line) => paint(style, 'dim', line));
}
