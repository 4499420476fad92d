/** The count of what was observed: the report's own, and one that shares nothing with it. */
import { describe, expect, test } from 'vitest';
import { formatReport } from '../tool/report/json.ts';
import { proofOf } from '../tool/report/proof.ts';
import type { Report } from '../tool/report/report.ts';
import { countAgain } from './count-again.ts';
import type { Counted } from './count-again.ts';
import { sampleReport, x86Report } from './report-sample.ts';

describe('the count of what was observed', () => {
  const native = { ...sampleReport().platform, kind: 'native', emulator: null } as const;
  test.each<[string, Report, Counted]>([
    ['arm64 on QEMU', sampleReport(), { shown: 36, of: 36 }],
    ['arm64 hardware without FWB', sampleReport({ platform: { ...native, fwb: false } }), { shown: 44, of: 44 }],
    ['AMD', x86Report('npt'), { shown: 0, of: 0 }],
    ['Intel', x86Report('ept'), { shown: 0, of: 0 }],
    ['Intel on Bochs', x86Report('ept', 'bochs-2.7'), { shown: 0, of: 0 }],
  ])('is what a script over the JSON of %s computes', (_what, report, expected) => {
    expect(countAgain(formatReport(report))).toEqual(proofOf(report).checks.type);
    expect(countAgain(formatReport(report))).toEqual(expected);
  });

  test('of a report that says so wrongly is another', () => {
    const report = sampleReport();
    const checks = report.checks.map((check) => Object.assign({}, check, { speaksOf: 'type' }));
    expect(countAgain(formatReport({ ...report, checks }))).not.toEqual(proofOf({ ...report, checks }).checks.type);
  });
});
