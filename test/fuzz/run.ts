import * as fc from 'fast-check';
import { WcvmmError } from '../../common/errors.ts';
import type { Target } from './targets.ts';

export interface FuzzOptions {
  readonly runs: number;
  readonly seed: number;
  /** Seeds that found something once; a few inputs are made of each. */
  readonly first: readonly number[];
}

export interface Fuzzed {
  readonly runs: number;
  /** What came out, with the seed and the input that shows it. */
  readonly failure: string | null;
  /** Bytes of heap in use after the first part and the last. */
  readonly memory: { readonly first: number; readonly last: number };
}

const PARTS = 10;
const RUNS_OF_A_KEPT_SEED = 2000;

function check(target: Target, seed: number, numRuns: number): string | null {
  const property = fc.property(target(), (one) => {
    try {
      one.run();
    } catch (error) {
      if (!(error instanceof WcvmmError)) throw error;
    }
  });
  const found = fc.check(property, { seed, numRuns });
  if (!found.failed) return null;
  const error = found.errorInstance instanceof Error ? found.errorInstance.stack : String(found.errorInstance);
  return `${fc.defaultReportMessage(found) ?? ''}\n${error}`;
}

function heap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}

/** In parts, each with a seed of its own that follows from `seed`. */
export function fuzz(target: Target, { runs, seed, first }: FuzzOptions): Fuzzed {
  for (const kept of first) {
    const failure = check(target, kept, RUNS_OF_A_KEPT_SEED);
    if (failure !== null) return { runs: RUNS_OF_A_KEPT_SEED, failure, memory: { first: 0, last: 0 } };
  }
  const memory: number[] = [];
  for (let part = 0; part < PARTS; part += 1) {
    const failure = check(target, seed + part, Math.ceil(runs / PARTS));
    memory.push(heap());
    if (failure !== null) return { runs, failure, memory: { first: memory[0] ?? 0, last: memory.at(-1) ?? 0 } };
  }
  return { runs, failure: null, memory: { first: memory[0] ?? 0, last: memory.at(-1) ?? 0 } };
}
