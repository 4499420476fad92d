import { describe, expect, it } from 'vitest';
import { fuzz } from './fuzz/run.ts';
import { SEEDS } from './fuzz/seeds.ts';
import { TARGETS } from './fuzz/targets.ts';
import type { Target } from './fuzz/targets.ts';
import * as fc from 'fast-check';

const fragile: Target = () =>
  fc.nat(100).map((input) => ({
    run: () => {
      if (input === 42) throw new TypeError('broken');
    },
    [fc.toStringMethod]: () => String(input),
  }));

describe('what comes from outside is read, or refused with a code', () => {
  it.each(Object.entries(TARGETS))('%s', (name, target) => {
    expect(fuzz(target, { runs: 1000, seed: 20_261_121, first: SEEDS[name] ?? [] }).failure).toBeNull();
  });
});

it('an input that breaks something is found, and told with its seed', () => {
  const { failure } = fuzz(fragile, { runs: 5000, seed: 1, first: [] });
  expect(failure).toMatch(/seed: 1[^]*Counterexample: \[42\][^]*broken/);
});
