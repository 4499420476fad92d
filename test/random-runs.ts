import { inject } from 'vitest';

/** How many random inputs a test takes. In mutation testing, where it runs once for each mutant, a fiftieth. */
export function randomRuns(count: number): number {
  const files: readonly string[] | undefined = inject('files');
  return files === undefined ? count : Math.ceil(count / 50);
}
