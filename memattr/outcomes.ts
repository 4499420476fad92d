import type { Outcome, Prediction } from './model.ts';

/** The outcomes that are as predicted; null where no outcome would prove anything. */
export function outcomesOf(prediction: Prediction): readonly Outcome[] | null {
  switch (prediction.kind) {
    case 'outcome':
      return [prediction.outcome];
    case 'one-of':
      return prediction.outcomes;
    case 'any':
    case 'measurement':
      return null;
  }
}
