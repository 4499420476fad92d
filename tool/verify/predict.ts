import { OUTCOMES, PROBES } from '../../memattr/index.ts';
import type { Outcome, ProbeName } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { Question } from './questions.ts';

/** One row of the model, replaced: the negative control of a whole verification. A wrong row must end in a mismatch. */
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
    `--predict ${text} is no prediction; expected PROBE@STAGE1=OUTCOME, as in unaligned-load@Device-nGnRnE=ok.`,
  );
}

/** Throws E_USAGE for an override that no question has: a control that changes nothing would prove nothing. */
export function replacePredictions(
  questions: readonly Question[],
  overrides: readonly PredictionOverride[],
): readonly Question[] {
  for (const { probe, stage1 } of overrides) {
    if (!questions.some((question) => question.probe === probe && question.stage1.name === stage1)) {
      throw new WcvmmError(
        'E_USAGE',
        `--predict ${probe}@${stage1} replaces nothing; expected one of the stage-1 types ${[...new Set(questions.map((question) => question.stage1.name))].join(', ')}.`,
      );
    }
  }
  return questions.map((question) => {
    const override = overrides.find(({ probe, stage1 }) => probe === question.probe && stage1 === question.stage1.name);
    if (override === undefined) return question;
    return {
      ...question,
      prediction: {
        kind: 'outcome',
        outcome: override.outcome,
        why: 'this row of the model was replaced with --predict',
      },
    };
  });
}
