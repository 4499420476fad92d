import type { Outcome } from '../../../memattr/index.ts';

/** What a memory type lets hardware do with stores; it is drawn alike wherever a type stands. */
export type TypeKind = 'strict' | 'combining' | 'cached' | 'unknown';

/** Device-GRE may gather, and so counts as combining; `A or B` is as relaxed as the more relaxed of the two. */
export function kindOfType(type: string): TypeKind {
  const kinds = new Set(type.split(' or ').map(kindOfOne));
  return (['unknown', 'cached', 'combining', 'strict'] as const).find((kind) => kinds.has(kind)) ?? 'unknown';
}

function kindOfOne(type: string): TypeKind {
  if (/^(Device-nG|nG|UC|CD)/.test(type)) return 'strict';
  if (/^(Device-G|GRE|Normal-NC|WC)/.test(type)) return 'combining';
  return /^(Normal-|W[BTP])/.test(type) ? 'cached' : 'unknown';
}

/** Stage 2 on x86 says first whose it is: `EPT UC IPAT`. */
export function kindOfStage2(type: string): TypeKind {
  return kindOfType(type.replace(/^(EPT|NPT) /, ''));
}

export type OutcomeKind = 'worked' | 'fault' | 'lost' | 'none';

export function kindOfOutcome(outcome: Outcome | null): OutcomeKind {
  if (outcome === null) return 'none';
  if (outcome === 'ok') return 'worked';
  if (outcome === 'not-present') return 'none';
  return outcome === 'wrong-data' || outcome === 'vm-killed' ? 'lost' : 'fault';
}
