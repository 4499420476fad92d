/** `npm run bench`: measures each figure beside its floor, and prints them with their goals. No test: nothing fails here. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { table } from '../common/terminal.ts';
import { FIGURES } from './figures/index.ts';
import type { Figure, Goal } from './figure.ts';

const HELP = `Usage: npm run bench -- [options]

Measures each figure beside its floor, one right after the other, and prints the medians. A busy machine makes both slower:
the ratio is what counts. No time that is measured in an emulated instance is a hardware's.

  --testbeds      also what boots emulated instances: minutes
  --long          also what builds kernels from nothing, and npm test: hours
  --only <name>   only this figure; may be given more than once
  --json <file>   also write all samples
  --list          only list the figures
  -h, --help

Examples:
  $ npm run bench
  $ npm run bench -- --testbeds --json bench.json
  $ npm run bench -- --only run --only exits

Exit code: 0 measured, whatever the figures are; 2 a figure could not be measured.`;

interface Measured {
  readonly name: string;
  readonly figure: number;
  readonly floor: number | null;
  readonly ratio: number | null;
  readonly samples: readonly { readonly figure: number; readonly floor: number | null }[];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low = Number.NaN, high = low] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return (low + high) / 2;
}

async function measure(figure: Figure): Promise<Measured> {
  const samples = [];
  for (let run = 0; run < figure.runs; run += 1) {
    process.stderr.write(`\r\u{1B}[K${figure.name}: ${run + 1} of ${figure.runs}`);
    samples.push(await figure.sample());
  }
  process.stderr.write('\r\u{1B}[K');
  const pairs = samples.flatMap(({ figure: value, floor }) => (floor === null ? [] : [{ value, floor }]));
  return {
    name: figure.name,
    figure: median(samples.map((sample) => sample.figure)),
    floor: pairs.length === 0 ? null : median(pairs.map(({ floor }) => floor)),
    ratio: pairs.length === 0 ? null : median(pairs.map(({ value, floor }) => value / floor)),
    samples,
  };
}

function shown(value: number | null, unit: string): string {
  return value === null ? '' : `${value.toPrecision(3)} ${unit}`;
}

function goalOf(goal: Goal, unit: string): string {
  switch (goal.kind) {
    case 'ratio':
      return `≤ ${goal.most} ×`;
    case 'more':
      return `≤ ${goal.most} ${unit} more`;
    case 'none':
      return '';
  }
}

function isReached(goal: Goal, { figure, floor, ratio }: Measured): boolean | null {
  switch (goal.kind) {
    case 'ratio':
      return ratio === null ? null : ratio <= goal.most;
    case 'more':
      return floor === null ? null : figure - floor <= goal.most;
    case 'none':
      return null;
  }
}

function row({ title, floor, unit, goal }: Figure, measured: Measured): readonly string[] {
  const reached = isReached(goal, measured);
  return [
    title,
    shown(measured.figure, unit),
    floor,
    shown(measured.floor, unit),
    measured.ratio === null ? '' : `${measured.ratio.toFixed(2)} ×`,
    goalOf(goal, unit),
    reached === null ? '' : reached ? 'reached' : 'not reached',
  ];
}

interface Asked {
  readonly testbeds: boolean;
  readonly long: boolean;
  readonly only: readonly string[];
}

function chosen({ testbeds, long, only }: Asked): readonly Figure[] {
  if (only.length > 0) return FIGURES.filter(({ name }) => only.includes(name));
  const isWanted: Readonly<Record<Figure['cost'], boolean>> = { seconds: true, minutes: testbeds, hours: long };
  return FIGURES.filter(({ cost }) => isWanted[cost]);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      testbeds: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  if (values.list) {
    process.stdout.write(`${table(FIGURES.map(({ name, title, cost }) => [name, title, cost])).join('\n')}\n`);
    return 0;
  }
  const unknown = values.only.find((name) => !FIGURES.some((figure) => figure.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no figure "${unknown}"; expected one of: ${FIGURES.map(({ name }) => name).join(', ')}`);
  const rows: (readonly string[])[] = [['', '', 'floor', '', 'ratio', 'goal', '']];
  const all: Measured[] = [];
  let failed = false;
  for (const figure of chosen(values)) {
    const why = figure.whyNot?.() ?? null;
    const measured = why === null ? await measure(figure).catch((error: unknown) => error) : why;
    if (typeof measured === 'object' && measured !== null && 'samples' in measured) {
      all.push(measured as Measured);
      rows.push(row(figure, measured as Measured));
    } else {
      failed ||= why === null;
      rows.push([
        figure.title,
        `not measured: ${measured instanceof Error ? measured.message.split('\n')[0] : String(measured)}`,
      ]);
    }
  }
  process.stdout.write(`${table(rows).join('\n')}\n`);
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ time: new Date().toISOString(), figures: all }, null, 2)}\n`);
  return failed ? 2 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
