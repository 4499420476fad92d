/** What bench measured, for a person: bursts by size, bursts by stride, latencies; a row per window and stage-1 type. */
import { isControl } from './report.ts';
import type { Bench, Figure, Report } from './report.ts';
import { joinSections, paint, table, wrap } from '../../common/terminal.ts';
import type { Style } from '../../common/terminal.ts';
import { header, limitList, windowTable } from './text.ts';

export function renderBench(report: Report, style: Style): string {
  const { bench } = report;
  const sections = [
    header(report, style),
    ...(bench === undefined
      ? [['  The report has no measurements.']]
      : [
          warning(bench, style),
          windowTable(report, style),
          ...seriesOf(bench.figures).map(({ title, columns }) => tableOf(report, title, columns, style)),
          notes(bench, style),
        ]),
    limitList(report, style),
    bench === undefined ? [] : warning(bench, style),
  ];
  return joinSections(sections);
}

/** First and last, since a terminal shows the end of what a person scrolls past. */
function warning({ meaningless }: Bench, style: Style): string[] {
  return meaningless === null
    ? []
    : wrap('!! NOT HARDWARE: ', meaningless, style.columns).map((line) => paint(style, 'yellow', line));
}

export interface Column {
  readonly head: string;
  readonly has: (figure: Figure) => boolean;
}

/** One table: a column for each value of what varies. */
export interface Series {
  readonly title: string;
  readonly columns: readonly Column[];
}

const WORD = 8;
const LARGEST = 4096;

/** The tables that a report's figures fill. */
export function seriesOf(figures: readonly Figure[]): readonly Series[] {
  const stores = figures.filter(({ quantity }) => quantity === 'store-bandwidth');
  const unit = stores[0]?.unit ?? '';
  const time = figures.find(({ quantity }) => quantity !== 'store-bandwidth')?.unit ?? '';
  const sizes = ascending(stores.filter(({ stride }) => stride === WORD).map(({ size }) => size));
  const strides = ascending(stores.filter(({ size }) => size === LARGEST).map(({ stride }) => stride));
  const latencies = (['load-latency', 'write-to-visible'] as const).filter((quantity) =>
    figures.some((figure) => figure.quantity === quantity),
  );
  const all: readonly Series[] = [
    {
      title: `stores, ${unit}, by the size of the burst in bytes`,
      columns: sizes.map((size) => ({
        head: String(size),
        has: (figure) => isStore(figure) && figure.stride === WORD && figure.size === size,
      })),
    },
    {
      title: `stores, ${unit}, over ${LARGEST} bytes, by the stride in bytes`,
      columns: strides.map((stride) => ({
        head: String(stride),
        has: (figure) => isStore(figure) && figure.size === LARGEST && figure.stride === stride,
      })),
    },
    {
      title: `load latency; time from a store until it can be read back; ${time}`,
      columns: latencies.map((quantity) => ({ head: quantity, has: (figure) => figure.quantity === quantity })),
    },
  ];
  return all.filter(({ columns }) => columns.length > 0);
}

function isStore({ quantity }: Figure): boolean {
  return quantity === 'store-bandwidth';
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function tableOf(report: Report, title: string, columns: readonly Column[], style: Style): string[] {
  const rows = rowsOf(report).map(({ label, figures }) => {
    const found = columns.map(({ has }) => figures.find(has));
    return [label].concat(
      found.map((figure) => (figure === undefined ? '' : number(figure.median))),
      spread(found.filter((figure) => figure !== undefined)),
    );
  });
  const heads = ['window, stage 1 → effective type', ...columns.map(({ head }) => head), 'spread'];
  const widths = heads.map((head, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), head.length),
  );
  const right = [heads, ...rows].map((row) =>
    row.map((cell, column) => (column === 0 ? cell : cell.padStart(widths[column] ?? 0))),
  );
  const [head = '', ...lines] = table(right, '  ');
  return [paint(style, 'bold', title), paint(style, 'dim', head), ...lines];
}

export interface FigureRow {
  readonly label: string;
  readonly window: number;
  readonly stage1: string;
  readonly effective: string;
  readonly figures: readonly Figure[];
}

/** One for each window and stage-1 type, in the order of the figures. */
export function rowsOf(report: Report): readonly FigureRow[] {
  const rows = new Map<string, FigureRow & { figures: Figure[] }>();
  for (const figure of report.bench?.figures ?? []) {
    const { window, stage1, effective } = figure;
    const of = report.windows[window];
    const known = rows.get(`${window} ${stage1}`);
    if (known !== undefined) known.figures.push(figure);
    else if (of !== undefined) {
      const name = isControl(report, of) ? 'control' : of.attribute;
      rows.set(`${window} ${stage1}`, {
        label: `${window} ${name} ${stage1} → ${effective || 'unknown'}`.replaceAll('Device-', ''),
        window,
        stage1,
        effective,
        figures: [figure],
      });
    }
  }
  return [...rows.values()];
}

/** At most five characters as long as it is below a hundred thousand. */
export function number(value: number): string {
  return value >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** Half of what lies between the quartiles, at worst, in percent of the median. */
function spread(figures: readonly Figure[]): string {
  const worst = Math.max(0, ...figures.map(({ median, low, high }) => (median > 0 ? (high - low) / 2 / median : 0)));
  return worst < 10 ? `±${Math.round(worst * 100)}%` : '>1000%';
}

function notes({ runs }: Bench, style: Style): string[] {
  const text = `medians of ${runs} runs; spread: half the distance between the quartiles, the worst of the row. Each burst ends with a barrier, so its stores have arrived. The control is ordinary memory: it shows what the loop itself costs`;
  return wrap('  ', text, style.columns).map((line) => paint(style, 'dim', line));
}
