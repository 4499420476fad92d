/** How far a guest's own choice of a type can relax a window. */
import type { Strictness } from './model.ts';

export interface Choice {
  /** What the guest's own tables say. */
  readonly stage1: string;
  /** What it gets; `A or B` where it is not known which. */
  readonly effective: string;
}

/**
 * @param choices every type that a guest can choose, and the type that it results in
 * @param isStrict whether a type neither caches nor combines stores
 */
export function strictnessOf(choices: readonly Choice[], isStrict: (type: string) => boolean): Strictness {
  const relaxed = choices.filter(({ effective }) => !effective.split(' or ').every(isStrict));
  if (relaxed.length === 0)
    return {
      strict: true,
      why: `whatever a guest asks for, it gets ${[...new Set(choices.map(({ effective }) => effective))].join(' or ')}`,
    };
  return {
    strict: false,
    why: relaxed.map(({ stage1, effective }) => `a guest that asks for ${stage1} gets ${effective}`).join(', '),
  };
}
