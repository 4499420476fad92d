/**
 * A window without a memslot. Stage 2 maps nothing there, so every access of a guest is an exit, and its VMM makes the
 * access on its own mapping: the guest's stage 1 has no say in the memory type, on any platform.
 */
import type { Attribute, Platform, Prediction, ProbeName, Source, Stage1Type, Strictness } from './model.ts';

/** How a guest reaches a window: by a memslot, or by exits. */
export type Access = 'mapped' | 'trapped';

/** Stands for stage 2's type where stage 2 maps nothing. */
export const TRAPPED = 'trapped';

export interface TrappedModel {
  /** Those that are worth asking. */
  readonly probes: readonly ProbeName[];
  /** The type of the VMM's accesses. Throws RangeError for an attribute that the source cannot give. */
  effective(attribute: Attribute, source: Source, platform: Platform): string;
  /** What the guest must see. Throws RangeError for a probe that is not one of `probes`. */
  predict(probe: ProbeName, stage1: Stage1Type, platform: Platform): Prediction;
  strictness(attribute: Attribute, source: Source, platform: Platform): Strictness;
}

/** @param isStrict whether a type neither caches nor combines stores */
export function trappedStrictness(effective: string, isStrict: (type: string) => boolean): Strictness {
  const strict = effective.split(' or ').every(isStrict);
  return {
    strict,
    why: `every access of a guest is an exit, and the VMM makes it on its own mapping, which is ${effective}`,
  };
}
