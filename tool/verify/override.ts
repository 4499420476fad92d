import { OUTCOMES, PROBES } from '../../memattr/index.ts';
import type { Outcome, ProbeName } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { PlannedCheck } from './plan.ts';

/** A prediction of the model, replaced: the negative control of a whole verification. A wrong one must end in a mismatch. */
export interface PredictionOverride {
  readonly probe: ProbeName;
  readonly stage1: string;
  readonly outcome: Outcome;
}

/** The one of `names` that a text is. */
function oneOf<Name extends string>(names: readonly Name[], text: string): Name | undefined {
  return names.find((name) => name === text);
}

/** Reads PROBE@STAGE1=OUTCOME. Throws E_USAGE. */
export function parseOverride(text: string): PredictionOverride {
  const [, probeName = '', stage1 = '', outcomeName = ''] = /^([a-z0-9-]+)@([A-Za-z-]+)=([a-z-]+)$/.exec(text) ?? [];
  const [probe, outcome] = [oneOf(PROBES, probeName), oneOf(OUTCOMES, outcomeName)];
  if (probe !== undefined && outcome !== undefined) return { probe, stage1, outcome };
  throw new WcvmmError(
    'E_USAGE',
    `--predict ${text} is not a prediction; expected PROBE@STAGE1=OUTCOME, as in unaligned-load@Device-nGnRnE=ok.`,
  );
}

/** Throws E_USAGE for an override that no check has: a control that changes nothing would prove nothing. */
export function replacePredictions(
  checks: readonly PlannedCheck[],
  overrides: readonly PredictionOverride[],
): readonly PlannedCheck[] {
  for (const { probe, stage1 } of overrides) {
    if (!checks.some((check) => check.probe === probe && check.stage1.name === stage1)) {
      const types = [...new Set(checks.map((check) => check.stage1.name))].join(', ');
      throw new WcvmmError(
        'E_USAGE',
        `--predict ${probe}@${stage1} matches no check of this run; expected a probe of this architecture and one of the stage-1 types ${types}.`,
      );
    }
  }
  return checks.map((check) => {
    const override = overrides.find(({ probe, stage1 }) => probe === check.probe && stage1 === check.stage1.name);
    if (override === undefined) return check;
    return {
      ...check,
      prediction: { kind: 'outcome', outcome: override.outcome, why: 'this prediction was replaced with --predict' },
    };
  });
}
