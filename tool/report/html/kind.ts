import type { Outcome } from '../../../memattr/index.ts';

export type OutcomeKind = 'worked' | 'fault' | 'lost' | 'none';

const KIND: Readonly<Record<Outcome, OutcomeKind>> = {
  ok: 'worked',
  'alignment-fault': 'fault',
  'vm-killed': 'lost',
  'external-abort': 'fault',
  'fetch-abort': 'fault',
  undefined: 'fault',
  'atomic-fault': 'fault',
  'other-fault': 'fault',
  'wrong-data': 'lost',
  'not-present': 'none',
};

/** How a tile is drawn; null: there was no answer. */
export function kindOfOutcome(outcome: Outcome | null): OutcomeKind {
  return outcome === null ? 'none' : KIND[outcome];
}
