/** The guest on what may be registers: it makes the probing access and nothing else. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { whyNoKvm } from './own-kvm.ts';
import { insideScript } from './support.ts';

interface Asked {
  readonly seen: Readonly<Record<string, string>>;
  /** Bytes of the page that are not as they were. */
  readonly stored: number;
}

interface Found {
  readonly loads: Asked;
  readonly store: Asked;
  readonly refused: Asked;
  readonly memory: Asked;
}

const why = whyNoKvm();

function check({ loads, store, refused, memory }: Found): void {
  expect(new Set(Object.values(loads.seen))).toEqual(new Set(['ok']));
  expect(loads.stored).toBe(0);
  expect(store).toEqual({ seen: { 'unaligned-store': 'ok' }, stored: 8 });
  expect(Object.keys(refused.seen).length).toBeGreaterThan(4);
  expect(new Set(Object.values(refused.seen))).toEqual(new Set(['bad-cell']));
  expect(refused.stored).toBe(0);
  // The same probe of memory makes its own background first.
  expect(memory.stored).toBeGreaterThan(24);
}

test.skipIf(why !== null)(`on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['dist/test/inside/registers.js'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  check(JSON.parse(stdout) as Found);
});

test('in an emulated arm64 instance', async () => {
  const { stdout } = await insideScript('registers', []);
  const found = JSON.parse(stdout.split('\n').find((line) => line.startsWith('{')) ?? '{}') as Found;
  check(found);
  expect(Object.keys(found.loads.seen)).toHaveLength(6);
});
