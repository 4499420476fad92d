/**
 * The count of what was observed, computed again from a report's JSON and the model alone: not by memattr/exclusion.ts, which the report's
 * own numbers come from.
 */
import { MODELS, TRAPPED, outcomesOf } from '../memattr/index.ts';
import type { ArchitectureModel, Platform } from '../memattr/index.ts';
import type { Report } from '../tool/report/report.ts';

export interface Counted {
  readonly shown: number;
  readonly of: number;
}

/** What QEMU 10 lets pass on Device memory: it says nothing there. */
const BLIND: ReadonlySet<string> = new Set(['zero-block', 'simd-half-aligned']);

export function countAgain(json: string): Counted {
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
