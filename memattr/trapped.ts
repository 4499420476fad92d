/** What is alike in every architecture's TrappedModel. */
import type { Strictness } from './model.ts';

/** Stands for stage 2's type where stage 2 maps nothing. */
export const TRAPPED = 'trapped';

/** @param isStrict whether a type neither caches nor combines stores */
export function trappedStrictness(effective: string, isStrict: (type: string) => boolean): Strictness {
  const strict = effective.split(' or ').every(isStrict);
  return {
    strict,
    why: `every access of a guest exits to the VMM, which performs it on its own mapping: ${effective}`,
  };
}
