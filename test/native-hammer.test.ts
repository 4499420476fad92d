/** A guest that does nothing but write to configuration space and its serial port costs the host no memory. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { whyNoKvm } from './own-kvm.ts';

const why = process.arch === 'x64' ? whyNoKvm() : 'its guest is one of x86';
/** Bytes: 16 for each access would be too much. */
const MOST = 16 << 20;

interface Found {
  readonly end: string;
  readonly bytes: number;
  readonly accesses: number;
  readonly grown: readonly number[];
}

function hammered(...args: readonly string[]): Found {
  const { stdout } = spawnSync(process.execPath, ['dist/test/inside/hammer.js', ...args], { encoding: 'utf8' });
  return JSON.parse(stdout) as Found;
}

describe.skipIf(why !== null)(`this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('a million accesses to configuration space and the serial port leave memory as it is', () => {
    const { end, bytes, accesses, grown } = hammered();
    // Each boot's bytes have come, and it has ended by itself.
    expect([end, bytes]).toEqual(['power-off', 180_000]);
    expect(accesses).toBeGreaterThan(1_000_000);
    expect(grown[1]).toBeLessThan(MOST);
  }, 600_000);

  test('a device that keeps something of each access is seen', () => {
    expect(hammered('keeps').grown[1]).toBeGreaterThan(MOST);
  }, 600_000);
});
