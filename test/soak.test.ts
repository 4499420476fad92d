import { expect, it } from 'vitest';
import { growth, summary } from './inside/samples.ts';
import type { Sample } from './inside/samples.ts';

function course(valueAt: (index: number) => number, name = 'files'): readonly Sample[] {
  return Array.from({ length: 40 }, (_, index) => ({ [name]: valueAt(index) }));
}

it.each([
  ['a file that is left now and then', course((index) => 20 + Math.floor(index / 15)), 1],
  ['memory that grows', course((index) => 100_000 + index * 2000, 'memory, KiB'), 1],
  ['memory that breathes', course((index) => 100_000 + (index % 5) * 3000, 'memory, KiB'), 0],
  ['what is taken while it warms up', course((index) => (index < 5 ? index : 5)), 0],
])('%s', (_name, samples, grown) => {
  expect(growth(samples)).toHaveLength(grown);
});

it('says where each figure began and ended', () => {
  expect(summary(course((index) => index))).toBe('  files                first 0, least 0, most 39, last 39');
});
