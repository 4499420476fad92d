/**
 * The count of what was observed, computed again from a report's JSON and the model alone: not by memattr/exclusion.ts, which the report's
 * own numbers come from.
 */
import { describe, expect, test } from 'vitest';
import { MODELS, TRAPPED, outcomesOf } from '../memattr/index.ts';
import type { ArchitectureModel, Platform } from '../memattr/index.ts';
import { formatReport } from '../tool/report/json.ts';
import { proofOf } from '../tool/report/proof.ts';
import type { Report } from '../tool/report/report.ts';
import { sampleReport, x86Report } from './report-sample.ts';

interface Counted {
  readonly shown: number;
  readonly of: number;
}

/** What QEMU 10 lets pass on Device memory: it says nothing there. */
const BLIND: ReadonlySet<string> = new Set(['zero-block', 'simd-half-aligned']);

function countAgain(json: string): Counted {
  const report = JSON.parse(json) as Report;
  const model: ArchitectureModel = MODELS[report.arch];
  let [shown, of] = [0, 0];
  for (const check of report.checks) {
    const window = report.windows[check.window];
    const stage1 = model.stage1Named(check.stage1);
    if (window === undefined || stage1 === null || window.control === true || window.source === 'memory') continue;
    if (check.probe === 'fetch' || check.probe === 'stage1-self-check') continue;
    if (report.platform.emulator?.startsWith('qemu-10.') === true && BLIND.has(check.probe)) continue;
    if (check.verdict !== 'match' && check.verdict !== 'mismatch') continue;
    const platform: Platform = {
      fwb: report.platform.fwb,
      faultForwarding: report.platform.faultForwarding ?? null,
      mte: false,
      nestedPaging: report.platform.nestedPaging ?? null,
    };
    const own = new Set<string>([check.predicted, ...(check.alternatives ?? [])]);
    const others = model
      .stage2Types(platform)
      .filter((type) => type !== window.stage2.predicted && window.stage2.predicted !== TRAPPED);
    const tells = others.some((type) => {
      const outcomes = outcomesOf(model.predict(check.probe, stage1, type, platform));
      return outcomes !== null && outcomes.every((outcome) => !own.has(outcome));
    });
    if (!tells) continue;
    of += 1;
    if (check.verdict === 'match') shown += 1;
  }
  return { shown, of };
}

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
