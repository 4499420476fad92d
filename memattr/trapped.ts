/** What every architecture's model says alike of a window without a memslot (TrappedModel). */
import type { Strictness } from './model.ts';

/** Stands for stage 2's type where stage 2 maps nothing. */
export const TRAPPED = 'trapped';

/** @param isStrict whether a type neither caches nor combines stores */
export function trappedStrictness(effective: string, isStrict: (type: string) => boolean): Strictness {
  const strict = effective.split(' or ').every(isStrict);
  return {
    strict,
    why: `every access of a guest is an exit, and the VMM makes it on its own mapping, which is ${effective}`,
  };
}
