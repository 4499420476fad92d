import { defineConfig } from 'vitest/config';

/** The time allowed is that of instrumented code on a machine that does other work. */
export default defineConfig({
  test: {
    include: ['test/memattr-*.test.ts'],
    // It takes seconds where code is instrumented, for each of a thousand mutants.
    exclude: ['test/memattr-every-cell.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
  },
});
