import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import type { ViteUserConfig } from 'vitest/config';
import { keptThread } from './kept-thread.ts';
import { loadFailures } from './load-failures.ts';
import { newParsers } from './parsers.ts';

/** @param names of files in test/, without .test.ts */
export function groupOf(names: RegExp): ViteUserConfig {
  const files = readdirSync('test').filter((name) => name.endsWith('.test.ts') && names.test(name.slice(0, -8)));
  return defineConfig({
    plugins: [keptThread(), newParsers],
    test: {
      include: ['test/mutation/all.ts'],
      setupFiles: ['test/mutation/fresh.ts'],
      provide: { files: files.map((name) => resolve('test', name)) },
      reporters: [loadFailures],
      // fresh.ts says what is loaded anew.
      isolate: false,
      // Of instrumented code on a machine that does other work.
      testTimeout: 120_000,
    },
  });
}
