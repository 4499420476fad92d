/**
 * `npm run fuzz -- [--runs N] [--seed N] [TARGET...]`: a million inputs for each target unless told otherwise. Every input that ever broke one
 * is in seeds.ts, and comes first. Exit code 1 where something but a WcvmmError came out, or memory grew.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './run.ts';
import { SEEDS } from './seeds.ts';
import { TARGETS } from './targets.ts';

const USAGE = `Usage: npm run fuzz -- [--runs N] [--seed N] [TARGET...]

Gives N random inputs (1000000) to each reader of what is not trusted: ${Object.keys(TARGETS).join(', ')}.

Examples:
  $ npm run fuzz
  $ npm run fuzz -- --runs 10000 elf uart-16550
  $ npm run fuzz -- --seed 7 report

Exit code: 0 nothing was found, 1 an input broke one or memory grew, 2 a bad argument.
`;

const OPTIONS = { runs: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;

/** Ends the process. */
function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${USAGE}`);
  process.exit(2);
}

function parsed(): ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>> {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

/** @param name of the option */
function numberOf(name: string, text: string): number {
  const number = Number(text);
  return Number.isSafeInteger(number) && number >= 0 ? number : refuse(`--${name} ${text} is no whole number.`);
}

const { values, positionals } = parsed();
if (values.help === true) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const unknown = positionals.find((name) => !Object.hasOwn(TARGETS, name));
if (unknown !== undefined) refuse(`${unknown} is no target.`);
const wanted = numberOf('runs', values.runs ?? '1000000');

function mebibytes(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

let failed = false;
for (const [name, target] of Object.entries(TARGETS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberOf('seed', values.seed);
  const { runs, failure, memory } = fuzz(target, { runs: wanted, seed, first: SEEDS[name] ?? [] });
  const grew = memory.last > memory.first * 1.5 + (16 << 20);
  failed ||= failure !== null || grew;
  process.stdout.write(
    `${failure === null && !grew ? '✓' : '✗'} ${name.padEnd(18)} ${runs} inputs, seed ${seed}, heap ${mebibytes(memory.first)} to ${mebibytes(memory.last)}\n`,
  );
  if (failure !== null) process.stdout.write(`${failure}\n`);
}
process.exitCode = failed ? 1 : 0;
