/**
 * Before a run's tests are loaded, in the thread of the runs before: what a mutant has left must be gone. One that is in force only
 * while tests run leaves nothing in the modules, and they stay; tests, and what they build on, are loaded anew for each.
 */
import { inject, vi } from 'vitest';

const [namespace, activation] = [inject('globalNamespace'), inject('mutantActivation')];
const here = globalThis as Record<string, unknown>;
const LOADED_BY_STATIC = 'wcvmm: a mutant was in force while modules were loaded';
const isStatic = activation === 'static';

const stryker = here[namespace];
if (!isStatic && isObject(stryker)) stryker['activeMutant'] = undefined;
if (isStatic || here[LOADED_BY_STATIC] === true) vi.resetModules();
else forgetTests();
here[LOADED_BY_STATIC] = isStatic;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** vitest's own way to load a file anew; its types do not show it. */
function forgetTests(): void {
  const { evaluatedModules } = here['__vitest_worker__'] as VitestWorker;
  for (const [id, module] of evaluatedModules.idToModuleMap)
    if (id.includes('/test/')) evaluatedModules.invalidateModule(module);
}

interface VitestWorker {
  readonly evaluatedModules: {
    readonly idToModuleMap: ReadonlyMap<string, object>;
    invalidateModule(module: object): void;
  };
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
