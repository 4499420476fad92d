/** By target: seeds under which fuzzing once found something. Part of every run from then on. */
export const SEEDS: Readonly<Partial<Record<string, readonly number[]>>> = {};
