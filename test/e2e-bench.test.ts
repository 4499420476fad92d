import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { POINTS } from '../tool/bench/points.ts';
import { parseReport } from '../tool/report/schema.ts';
import { publishedFaults } from './report-readers.ts';
import { inTestbed } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function bench(
  name: string,
  args: readonly string[] = [],
  arch = 'arm64',
): Promise<{ code: number; stdout: string; report: ReturnType<typeof parseReport>; faults: string | null }> {
  const { code, stdout } = await inTestbed({
    arch,
    run: { kind: 'wcvmm', args: ['bench', '-d', '0000:01:00.0', '--runs', '3', '--json', `${name}.json`, ...args] },
    outputDir: folder,
  });
  const text = readFileSync(join(folder, `${name}.json`), 'utf8');
  return { code, stdout, report: parseReport(text), faults: publishedFaults(JSON.parse(text)) };
}

describe('bench in a testbed', () => {
  test.each([
    ['arm64', 5],
    ['x86-amd', 6],
  ])(
    'measures every point of every window and type, and says itself that the figures mean nothing: %s',
    async (arch, types) => {
      const { code, stdout, report, faults } = await bench(arch, [], arch);
      expect([code, faults]).toEqual([0, null]);
      expect(report.platform.emulator).not.toBeNull();
      expect(report.bench?.meaningless).toContain('nothing about hardware');
      expect(stdout.match(/^!! NOT HARDWARE/gm)).toHaveLength(2);
      const figures = report.bench?.figures ?? [];
      // Three windows and the control.
      expect(figures).toHaveLength(4 * types * POINTS.length);
      expect(figures.every(({ low, median, high }) => low > 0 && low <= median && median <= high)).toBe(true);
      expect(new Set(figures.filter(({ quantity }) => quantity === 'store-bandwidth').map(({ unit }) => unit))).toEqual(
        new Set(['MB/s']),
      );
    },
  );

  test('measures a trapped window, where an access is an exit', async () => {
    const { code, report } = await bench('trapped', ['-m', 'bar2:0-64K=device', '--enforce']);
    expect(code).toBe(0);
    expect(report.windows[0]?.trapped?.exits).toBeGreaterThan(0);
    const figures = report.bench?.figures.filter(({ window }) => window === 0) ?? [];
    expect(figures).toHaveLength(5 * POINTS.length);
  });
});
