/** verify on BARs that are registers, with no permission to store: loads alone show what stage 2 makes of them. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { proofOf } from '../tool/report/proof.ts';
import { parseReport } from '../tool/report/schema.ts';
import { ATTACHED, DEVICES, mapsOf } from './register-devices.ts';
import { inOneBoot } from './support.ts';
import type { Finished } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
// The emulator, which is a user of its own, writes its trace there.
chmodSync(folder, 0o777);
afterAll(() => rmSync(folder, { recursive: true }));

describe('registers on arm64, without --allow-writes', () => {
  const file = join(folder, 'trace');
  let found: readonly Finished[] = [];
  beforeAll(async () => {
    found = await inOneBoot(
      DEVICES.flatMap((device) => [
        ['bind', device.address],
        ['verify', '-d', device.address, ...mapsOf(device), '--json', '-'],
      ]),
      {
        timeout: 300,
        emulatorOptions: [...ATTACHED, '-trace', `enable=memory_region_ops_*,file=${file}`],
      },
    );
  });

  test.each(DEVICES.map((device, index) => [device.name, index] as const))(
    '%s: exit 0, with evidence of the type in every window',
    (_name, index) => {
      const [bound, verified] = found.slice(2 * index);
      expect([bound?.code, bound?.stderr]).toEqual([0, expect.any(String)]);
      expect([verified?.code, verified?.stderr]).toEqual([0, expect.any(String)]);
      const report = parseReport(verified?.stdout ?? '');
      const windows = report.windows.filter(({ control }) => control === undefined);
      for (const { stage2, touched } of windows) {
        expect(stage2.programmed).toBe(stage2.predicted);
        expect(touched).toMatchObject({ by: 'loads', bytes: 24 });
      }
      expect(report.summary.mismatch).toBe(0);
      for (const window of windows.keys()) {
        const telling = report.checks.filter((check) => check.window === window && check.speaksOf === 'type');
        expect(telling.length).toBeGreaterThanOrEqual(6);
        expect(new Set(telling.map(({ verdict }) => verdict))).toEqual(new Set(['match']));
      }
      expect(proofOf(report).notProven).toEqual([]);
    },
  );

  test.each(DEVICES)('$name is loaded from, and never stored to', ({ region }) => {
    const accesses = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.includes(`name '${region}'`));
    expect(accesses.filter((line) => line.startsWith('memory_region_ops_read')).length).toBeGreaterThan(0);
    expect(accesses.filter((line) => line.startsWith('memory_region_ops_write'))).toEqual([]);
  });
});
