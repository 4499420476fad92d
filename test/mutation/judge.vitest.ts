import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'test/report-verdict.test.ts',
      'test/report-worth.test.ts',
      'test/verify-*.test.ts',
      'test/guest-records.test.ts',
    ],
    fileParallelism: false,
    testTimeout: 120_000,
  },
});
