import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WcvmmError } from '../common/errors.ts';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../common/cache.ts';
import { runProgram } from '../common/program.ts';

export interface Compilation {
  compiler: string;
  /** One C file. */
  source: string;
  /** Beside optimisation, the standard and warnings. */
  flags: readonly string[];
  signal: AbortSignal;
}

/** Compiles a C file unless the cache has what it makes. Returns the path of that. Throws E_TESTBED, E_INTERRUPTED. */
export async function compileC({ compiler, source, flags, signal }: Compilation): Promise<string> {
  const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', ...flags];
  const folder = join(cacheRoot(), 'compiled');
  const made = join(folder, `${contentKey(compiler, ...options, await readFile(source))}-${basename(source, '.c')}`);
  if (await inCache(made)) return made;
  await publish(made, (temporary) =>
    runProgram(compiler, [...options, '-o', temporary, source], {
      signal,
      failure: (tail, cause) =>
        new WcvmmError('E_TESTBED', `${compiler} could not compile ${source}.\n${tail}`, { cause }),
    }),
  );
  await sweepCache(folder, 20);
  return made;
}
