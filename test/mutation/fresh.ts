/** Before each run's modules are loaded: a mutant of the run before must not be in force while they are. */
import { inject } from 'vitest';

const { globalNamespace, mutantActivation } = {
  globalNamespace: inject('globalNamespace'),
  mutantActivation: inject('mutantActivation'),
};
const stryker = (globalThis as Record<string, unknown>)[globalNamespace];
if (isStrykers(stryker) && mutantActivation !== 'static') stryker.activeMutant = undefined;

function isStrykers(value: unknown): value is { activeMutant: string | undefined } {
  return typeof value === 'object' && value !== null;
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** Test files of the group. */
    files: readonly string[];
    /** Stryker's: where its state is, and whether the mutant is in force from the start or only while tests run. */
    globalNamespace: string;
    mutantActivation: 'static' | 'runtime' | undefined;
  }
}
