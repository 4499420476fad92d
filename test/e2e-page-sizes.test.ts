import { beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../tool/report/report.ts';
import { inOneBoot } from './support.ts';

const variable = 'WCVMM_TEST_KERNELS';
const why =
  process.env[variable] === '1' ? null : `each compiles a kernel that nothing else needs; ${variable}=1 runs them`;

const DEVICE = ['-d', '0000:01:00.0'] as const;

describe.skipIf(why !== null).each(['16k', '64k'] as const)(
  `arm64 with pages of %s${why === null ? '' : ` (skipped: ${why})`}`,
  (kernel) => {
    let report: Report;
    let codes: (number | undefined)[] = [];
    let refused = '';

    beforeAll(async () => {
      const [doctor, json, small] = await inOneBoot(
        [
          ['doctor', ...DEVICE],
          ['verify', ...DEVICE, '--json', '-'],
          ['run', '-m', 'bar2:0-4K=wc', ...DEVICE, '/wcvmm/arm64-tests/build/guest.elf'],
        ],
        { kernel, timeout: 300 },
      );
      codes = [doctor?.code, json?.code];
      report = JSON.parse(json?.stdout ?? '') as Report;
      refused = small?.stderr ?? '';
    });

    test('every window has the stage-2 type that was predicted, and every check matches', () => {
      expect(codes).toEqual([0, 0]);
      expect(report.summary.mismatch).toBe(0);
      expect(
        report.windows
          .filter(({ source }) => source === undefined)
          .map(({ attribute, stage2 }) => [attribute, stage2.programmed]),
      ).toEqual([
        ['device', 'Device-nGnRE'],
        ['wc', 'Normal-NC'],
        ['default', 'Normal-NC'],
      ]);
      for (const { stage2 } of report.windows) expect(stage2.programmed).toBe(stage2.predicted);
    });

    test('a window that is no whole page of this kernel is refused', () => {
      expect(refused).toMatch(/E_MAP_ALIGNMENT.*pages of (?:16|64)K/);
    });
  },
);
