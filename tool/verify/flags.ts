/** What else a finished report says of its windows and checks: hazards of the silicon, and rules of Arm's that checks answer. */
import { bsaRulesOf, hazardsOfType } from '../../memattr/index.ts';
import type { Hazard } from '../../memattr/index.ts';
import { isControl } from '../report/report.ts';
import type { Check, Report, ReportWindow } from '../report/report.ts';

/** A window is flagged for the type that stage 2 lets a guest have, and for that of the host's own mapping. */
export function withHazards(report: Report, hazards: readonly Hazard[]): Report {
  if (hazards.length === 0) return report;
  return {
    ...report,
    hazards: hazards.map((hazard) => ({ ...hazard })),
    windows: report.windows.map((window) => {
      const ids = isControl(report, window) ? [] : idsFor(window, hazards);
      return ids.length === 0 ? window : Object.assign({}, window, { hazards: ids });
    }),
  };
}

function idsFor({ hostVma, stage2, trapped }: ReportWindow, hazards: readonly Hazard[]): string[] {
  const types = [hostVma, ...(trapped === undefined ? [stage2] : [])].map(
    ({ programmed, predicted }) => programmed ?? predicted,
  );
  return [...new Set(types.flatMap((type) => hazardsOfType(hazards, type)).map(({ id }) => id))];
}

/** Only what was observed in a BAR answers one. */
export function withRules(report: Report): Report {
  if (report.arch !== 'arm64') return report;
  return { ...report, checks: report.checks.map((check) => ruled(report, check)) };
}

function ruled(report: Report, check: Check): Check {
  const window = report.windows[check.window];
  const asked = window !== undefined && !isControl(report, window) && window.trapped === undefined;
  const rules =
    asked && report.device.address !== null && check.observed !== null ? bsaRulesOf(check.probe, check.effective) : [];
  return rules.length === 0 ? check : { ...check, rules: [...rules] };
}
