/** Figures that were taken again and again, and whether they grew. */

export type Sample = Readonly<Record<string, number>>;

/** Of the largest of the second quarter: a heap breathes. Whole things, such as files, may not grow at all. */
const BREATH = 1.1;

interface Course {
  readonly name: string;
  readonly first: number;
  readonly least: number;
  readonly most: number;
  readonly last: number;
  /** The largest of the second quarter, and of the last. */
  readonly early: number;
  readonly late: number;
}

function courses(samples: readonly Sample[]): readonly Course[] {
  const quarter = Math.floor(samples.length / 4);
  return Object.keys(samples[0] ?? {}).map((name) => {
    const values = samples.map((sample) => sample[name] ?? 0);
    const most = (some: readonly number[]): number => Math.max(...(some.length === 0 ? values : some));
    return {
      name,
      first: values[0] ?? 0,
      least: Math.min(...values),
      most: most(values),
      last: values.at(-1) ?? 0,
      early: most(values.slice(quarter, 2 * quarter)),
      late: most(values.slice(-Math.max(quarter, 1))),
    };
  });
}

/** A sentence for each figure whose last quarter is above its second; the first is warming up. */
export function growth(samples: readonly Sample[]): readonly string[] {
  return courses(samples).flatMap(({ name, early, late }) => {
    const allowed = name.startsWith('memory') || name === 'mappings' ? early * BREATH : early;
    return late > allowed ? [`${name}: ${early} in the second quarter, ${late} in the last`] : [];
  });
}

export function summary(samples: readonly Sample[]): string {
  return courses(samples)
    .map(
      ({ name, first, least, most, last }) =>
        `  ${name.padEnd(20)} first ${first}, least ${least}, most ${most}, last ${last}`,
    )
    .join('\n');
}
