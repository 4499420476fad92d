/** Times of an x86 guest: from its samples to a verdict. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { pacesOf, timingText } from '../tool/report/timing.ts';
import { judge } from '../tool/verify/judge.ts';
import type { JudgedCheck } from '../tool/verify/judge.ts';
import { timingOf } from '../tool/verify/timing.ts';
import { measuredCheck } from './measured-check.ts';

function interval(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

describe('the record', () => {
  test('gives what is certain of the ratios', () => {
    expect(timingOf([interval(10, 20), interval(100, 100), interval(200, 300), interval(100, 120)])).toEqual({
      loads: { low: 10, high: 30 },
      stores: { low: 1, high: 1.2 },
    });
  });

  test.each([
    ['nothing', []],
    ['no time at all', [interval(0, 1), interval(1, 1), interval(1, 1), interval(1, 1)]],
    ['an end before its start', [interval(1, 1), interval(1, 1), interval(3, 2), interval(1, 1)]],
    ['bad stores', [interval(1, 1), interval(1, 0), interval(1, 1), interval(1, 1)]],
  ])('with %s gives none', (_what, values) => {
    expect(timingOf(values)).toBeNull();
  });

  test('of whatever a guest may say gives ratios that are finite and in order, or none', () => {
    const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(fc.array(word, { minLength: 4, maxLength: 4 }), (values) => {
        const timing = timingOf(values);
        if (timing === null) return;
        for (const { low, high } of [timing.loads, timing.stores]) {
          expect(Number.isFinite(high) && low > 0).toBe(true);
          expect(low).toBeLessThanOrEqual(high);
        }
      }),
    );
  });
});

describe('a ratio', () => {
  const one = { low: 1, high: 1 };
  test.each([
    [4, 5, 'faster'],
    [3.9, 5, null],
    [0.8, 1.25, 'alike'],
    [0.79, 1.25, null],
    [0.8, 1.26, null],
    [0.1, 0.25, 'slower'],
    [0.1, 0.26, null],
    [0.1, 100, null],
  ])('of loads from %d to %d is %s', (low, high, pace) => {
    expect(pacesOf({ loads: { low, high }, stores: one })).toEqual({ loads: pace, stores: 'alike' });
  });

  test.each([
    [1.5, 9, 'faster'],
    [1.49, 9, null],
    [0.1, 1 / 1.5, 'slower'],
    [0.1, 0.67, null],
  ])('of stores from %d to %d is %s', (low, high, pace) => {
    expect(pacesOf({ loads: one, stores: { low, high } })).toEqual({ loads: 'alike', stores: pace });
  });

  test('is told in words', () => {
    expect(timingText({ loads: { low: 1, high: 1.25 }, stores: { low: 6, high: 7 } })).toBe(
      "uncached, the window's loads take 1.0 to 1.3 times as long, and its stores 6.0 to 7.0 times",
    );
  });
});

const ALIKE = { low: 0.9, high: 1.1 };
const FASTER = { low: 6, high: 7 };

function timed(change: Partial<JudgedCheck>): JudgedCheck {
  return measuredCheck({
    probe: 'timing-class',
    stage1: { name: 'WC', encoding: 1 },
    stage2Predicted: 'EPT UC',
    timed: { timing: { loads: ALIKE, stores: FASTER }, uncached: 'UC' },
    ...change,
  });
}

describe('the verdict of timing', () => {
  test('is a match where the types may have it, and a mismatch where they cannot', () => {
    expect(judge(timed({}), [])).toEqual({ observed: 'ok', verdict: 'match', note: null });
    const wrong = judge(timed({ effective: 'UC' }), []);
    expect(wrong.verdict).toBe('mismatch');
    expect(wrong.note).toMatch(/stores 6\.0 to 7\.0 times; that of UC beside UC cannot be so/);
  });

  test('a link so slow that it hides the difference is no mismatch', () => {
    const slow = { timing: { loads: ALIKE, stores: { low: 0.95, high: 1.4 } }, uncached: 'UC' };
    expect(judge(timed({ timed: slow }), [])).toMatchObject({
      verdict: 'unobservable',
      note: 'beside uncached accesses the timing is too uneven to tell types apart, or between two of them',
    });
    expect(
      judge(timed({ timed: { ...slow, timing: { loads: { low: 1, high: 9 }, stores: FASTER } } }), []),
    ).toMatchObject({ verdict: 'unobservable' });
  });

  test('of a probe that faulted is that fault', () => {
    const faulted = judge(timed({ record: { cell: 0, outcome: 'other-fault' } }), []);
    expect(faulted).toMatchObject({ observed: 'other-fault', verdict: 'mismatch' });
    expect(faulted.note).toMatch(/^a measurement makes only accesses that every memory type allows/);
  });

  test('is none on an emulator, nor without figures', () => {
    expect(judge(timed({ emulator: 'qemu-10.0.2', effective: 'UC' }), [])).toMatchObject({
      verdict: 'unobservable',
      note: 'access times under qemu-10.0.2 say nothing about the memory type',
    });
    expect(judge(timed({ timed: { timing: null, uncached: 'UC' } }), [])).toMatchObject({
      verdict: 'unobservable',
      note: "the guest's clock gave no figures that could be compared",
    });
  });
});

function locked(change: Partial<JudgedCheck>): JudgedCheck {
  return {
    ...timed({ probe: 'locked-access', prediction: { kind: 'outcome', outcome: 'ok', why: 'works' } }),
    effective: 'UC',
    busLocks: 3,
    ...change,
  };
}

describe('the verdict of a locked access', () => {
  test.each([
    ['UC', 3, 'match'],
    ['UC', 0, 'mismatch'],
    ['WC', 0, 'mismatch'],
    ['WB', 0, 'match'],
    ['WB', 1, 'mismatch'],
    ['UC or WB', 0, 'match'],
    ['unknown', 5, 'match'],
  ])('to %s with %d bus locks is a %s', (effective, busLocks, verdict) => {
    expect(judge(locked({ effective, busLocks }), []).verdict).toBe(verdict);
    expect(judge(locked({ effective, busLocks, probe: 'atomic' }), []).verdict).toBe(verdict);
  });

  test('says which it was', () => {
    expect(judge(locked({ busLocks: 0 }), []).note).toBe(
      'KVM reported no bus lock; a locked access to UC memory locks the bus',
    );
    expect(judge(locked({ effective: 'WB' }), []).note).toBe(
      'KVM reported 3 bus locks; a locked access to WB memory locks a cache line',
    );
  });

  test.each<[string, Partial<JudgedCheck>]>([
    ['an emulator', { emulator: 'qemu-10.0.2' }],
    ['a KVM that reports none', { busLocks: null }],
    ['a trapped window', { stage2Predicted: 'trapped' }],
    ['a probe that locks nothing', { probe: 'data-write' }],
  ])('asks nothing of %s', (_what, change) => {
    const { busLocks: _busLocks, ...without } = locked({});
    expect(judge(without, []).verdict).toBe('match');
    expect(judge(locked({ busLocks: 0, ...change }), []).verdict).toBe('match');
  });
});

test("the guest's interval is the fifth of 17 samples from either end, in whatever order they come", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-test-'));
  try {
    const program = join(folder, 'interval');
    await writeFile(
      `${program}.c`,
      `#include "probes/interval.h"
       #include <stdio.h>
       #include <stdlib.h>
       int main(int count, char **values) {
         wcvmm_u32 samples[ROUNDS];
         for (int i = 1; i < count; i++) samples[i - 1] = strtoul(values[i], 0, 10);
         wcvmm_u64 found = interval_of(samples);
         printf("%u %u", (unsigned)found, (unsigned)(found >> 32));
       }`,
    );
    const guest = join(projectRoot, 'x86-tests');
    const flags = ['-std=c11', '-Wall', '-Werror', `-I${guest}`, `-I${join(projectRoot, 'tool/verify/guest')}`];
    const run = promisify(execFile);
    await run('gcc', [...flags, '-o', program, `${program}.c`, join(guest, 'probes/interval.c')]);
    const intervalOf = async (samples: readonly number[]): Promise<string> =>
      (await run(program, samples.map(String))).stdout;
    const ascending = Array.from({ length: 17 }, (_, index) => (index + 1) * 10);
    expect(await intervalOf(ascending)).toBe('50 130');
    expect(await intervalOf(ascending.toReversed())).toBe('50 130');
    expect(await intervalOf([...ascending.slice(8), ...ascending.slice(0, 8)])).toBe('50 130');
    // Four stragglers on either side change nothing.
    expect(await intervalOf(ascending.map((value) => (value > 130 ? 2_000_000_000 : value < 50 ? 1 : value)))).toBe(
      '50 130',
    );
    expect(await intervalOf(ascending.map(() => 7))).toBe('7 7');
  } finally {
    await rm(folder, { recursive: true });
  }
});
