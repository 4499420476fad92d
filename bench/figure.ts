/** What `npm run bench` measures: one figure beside its floor, so that a slow or busy machine changes both. */

/** Of figure and floor, taken one right after the other; null: it has no floor. */
export interface Sample {
  readonly figure: number;
  readonly floor: number | null;
}

export type Goal =
  /** The figure is at most so many times its floor. */
  | { readonly kind: 'ratio'; readonly most: number }
  /** The figure is at most so much above its floor. */
  | { readonly kind: 'more'; readonly most: number }
  | { readonly kind: 'none' };

export interface Figure {
  /** For --only. */
  readonly name: string;
  /** What is measured, and what it is compared with; for a person. */
  readonly title: string;
  readonly floor: string;
  readonly unit: 'ms' | 's' | 'µs' | 'MiB';
  readonly goal: Goal;
  /** What one run of it takes. Minutes: with --testbeds; hours: with --long. */
  readonly cost: 'seconds' | 'minutes' | 'hours';
  /** Samples; the medians of their figures, floors and ratios are what counts. */
  readonly runs: number;
  /** Why this machine cannot measure it; absent or null: it can. */
  readonly whyNot?: () => string | null;
  readonly sample: () => Promise<Sample>;
}
