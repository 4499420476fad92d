/**
 * `npm run fuzz -- [--runs N] [--seed N] [TARGET...]`: a million inputs for each target unless told otherwise. Every input that ever broke one
 * is in seeds.ts, and comes first. Exit code 1 where something but a WcvmmError came out, or memory grew.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './run.ts';
import { SEEDS } from './seeds.ts';
import { TARGETS } from './targets.ts';

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !Object.hasOwn(TARGETS, name));
if (unknown !== undefined) throw new Error(`${unknown} is no target; there are ${Object.keys(TARGETS).join(', ')}`);

function mebibytes(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

let failed = false;
for (const [name, target] of Object.entries(TARGETS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const { runs, failure, memory } = fuzz(target, { runs: Number(values.runs), seed, first: SEEDS[name] ?? [] });
  const grew = memory.last > memory.first * 1.5 + (16 << 20);
  failed ||= failure !== null || grew;
  process.stdout.write(
    `${failure === null && !grew ? '✓' : '✗'} ${name.padEnd(18)} ${runs} inputs, seed ${seed}, heap ${mebibytes(memory.first)} to ${mebibytes(memory.last)}\n`,
  );
  if (failure !== null) process.stdout.write(`${failure}\n`);
}
process.exitCode = failed ? 1 : 0;
