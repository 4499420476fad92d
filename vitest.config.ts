import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

const files = readdirSync('test')
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name}`);

/** It builds dist/ anew, where the others have their programs from. */
const BUILDS = new Set(['test/package-exports.test.ts']);

/** It ended its process in two of three whole runs in which other files had run there before, and in none of 17 by itself. It is not known why. */
const ENDED_ITS_PROCESS = new Set(['test/native-accesses.test.ts']);

/** A module that is replaced, or what it keeps for the rest of its process, is nobody else's. */
const isAlone = (file: string): boolean =>
  BUILDS.has(file) ||
  ENDED_ITS_PROCESS.has(file) ||
  /\bvi\.(?:mock|stub)|process\.chdir\(/.test(readFileSync(file, 'utf8'));

/** Those that take a minute or more, from the longest on: begun last, one of them would end alone. */
const LONGEST = [
  'native-vmm',
  'e2e-x86-intel',
  'e2e-fleet-ansible',
  'e2e-leaks',
  'e2e-verify',
  'e2e-start',
  'e2e-fleet-slurm',
];

/** The rest of what boots emulated instances comes before what takes milliseconds. */
const SLOW = /^(?:e2e|native|testbed|examples|report-browser|fleet|killed|sandbox)/;

function rank(file: string): number {
  const name = basename(file, '.test.ts');
  const long = LONGEST.indexOf(name);
  if (long !== -1) return long;
  return LONGEST.length + (SLOW.test(name) ? 0 : 1);
}

class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications);
    return sorted.toSorted((a, b) => rank(a.moduleId) - rank(b.moduleId));
  }
}

const shared = { testTimeout: 120_000, hookTimeout: 1_800_000 };

/** Most of an emulated instance's work is one thread's; each takes a gigabyte of memory. */
const INSTANCES = Math.min(2, availableParallelism());

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'together',
          include: files.filter((file) => !isAlone(file)),
          // A process for each file would load vitest, the model and the VMM again for each: half of the time of all unit tests.
          isolate: false,
          maxWorkers: INSTANCES,
        },
      },
      { test: { ...shared, name: 'alone', include: files.filter(isAlone), fileParallelism: false } },
    ],
  },
});
