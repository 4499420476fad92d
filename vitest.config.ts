import { readFileSync, readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const files = readdirSync('test')
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`);

/** A module that is replaced, or what it keeps for the rest of its process, is nobody else's. */
const isAlone = (file: string): boolean => /\bvi\.(?:mock|stub)|process\.chdir\(/.test(readFileSync(file, 'utf8'));

const shared = {
  // The testbeds emulate whole machines: two at once on two cores only slow each other down.
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 1_800_000,
};

export default defineConfig({
  test: {
    projects: [
      // A process for each file would load vitest, the model and the VMM again for each: half of the time of all unit tests.
      { test: { ...shared, name: 'together', include: files.filter((file) => !isAlone(file)), isolate: false } },
      { test: { ...shared, name: 'alone', include: files.filter(isAlone) } },
    ],
  },
});
