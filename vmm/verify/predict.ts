import type { Outcome, ProbeName } from '../../memattr/index.ts';
import { WcvmmError } from '../errors.ts';
import { OUTCOME_NUMBER, PROBE_NUMBER } from '../guest/abi.ts';
import type { Question } from './questions.ts';

/** One row of the model, replaced: the negative control of a whole verification. A wrong row must end in a mismatch. */
export interface PredictionOverride {
  readonly probe: ProbeName;
  readonly stage1: string;
  readonly outcome: Outcome;
}

function isOutcome(text: string): text is Outcome {
  return text === 'vm-killed' || (text in OUTCOME_NUMBER && text !== 'bad-cell');
}

function isProbe(text: string): text is ProbeName {
  return text in PROBE_NUMBER;
}

/** Reads PROBE@STAGE1=OUTCOME. Throws E_USAGE. */
export function parseOverride(text: string): PredictionOverride {
  const [, probe = '', stage1 = '', outcome = ''] = /^([a-z0-9-]+)@([A-Za-z-]+)=([a-z-]+)$/.exec(text) ?? [];
  if (isProbe(probe) && stage1 !== '' && isOutcome(outcome)) return { probe, stage1, outcome };
  throw new WcvmmError('E_USAGE', `--predict ${text} is no prediction; expected PROBE@STAGE1=OUTCOME, as in unaligned-load@Device-nGnRnE=ok.`);
}

export function replacePredictions(questions: readonly Question[], overrides: readonly PredictionOverride[]): readonly Question[] {
  return questions.map((question) => {
    const override = overrides.find(({ probe, stage1 }) => probe === question.probe && stage1 === question.stage1.name);
    if (override === undefined) return question;
    return { ...question, prediction: { kind: 'outcome', outcome: override.outcome, why: 'this row of the model was replaced with --predict' } };
  });
}
