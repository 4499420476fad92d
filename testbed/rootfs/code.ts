/** V8's code of the command line for an instance's Node, made in an instance once for each build of the project. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { bundlesThere } from '../../common/bundles.ts';
import { cacheRoot, contentKey, ensureFolder, inCache, publish, sweepCache } from '../../common/cache.ts';
import { WcvmmError } from '../../common/errors.ts';
import { withLock } from '../../common/lock.ts';
import { projectRoot } from '../../common/paths.ts';
import type { Progress } from '../../common/progress.ts';
import type { Machine } from '../machine/machine.ts';

/** Machine code that V8 makes an emulator must translate again, which takes longer than most of it runs: V8 only interprets. Its code is for these flags. */
export const V8_FLAGS: readonly string[] = ['--no-opt', '--no-maglev', '--no-sparkplug'];

const program = 'dist/testbed/keep-code.js';

/** Runs a command in an instance without such code, and has the files that it writes in a folder. */
export type RunInside = (args: readonly string[], outputDir: string) => Promise<unknown>;

/**
 * The folder with a file for each bundle that `verify` calls, or null where there is none: for a machine whose emulator starts with the command line
 * loaded, and where it may not be made or the cache cannot hold it. Throws as a session does.
 *
 * @param inside the project's folder there
 * @param run null: it may not be made
 */
export async function codeFolder(
  machine: Machine,
  inside: string,
  run: RunInside | null,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<string | null> {
  const bundles = bundlesThere();
  if (!machine.keepsCode || bundles.length === 0) return null;
  const { debianArch, node } = machine.userland;
  const made = [JSON.stringify([node, V8_FLAGS, machine.memoryDevice]), await readFile(join(projectRoot, program))];
  const folder = join(cacheRoot(), 'code', debianArch);
  const path = join(folder, contentKey(...made, ...bundles.map((bundle) => basename(bundle))));
  if (await inCache(path)) return path;
  if (run === null) return null;
  try {
    await withLock(
      join(cacheRoot(), 'locks', `code-${debianArch}`),
      async () => {
        if (await inCache(path)) return;
        progress.phase(`compiling wcvmm in an emulated ${machine.arch} instance`);
        await publish(path, async (temporary) => {
          await ensureFolder(temporary);
          const commands = [['verify', '--device', machine.memoryDevice, '--json', '-']];
          await run(['node', ...V8_FLAGS, join(inside, program), '.', JSON.stringify(commands)], temporary);
          for (const name of await readdir(temporary)) {
            const file = join(temporary, name);
            if (!name.endsWith('.code') || (await stat(file)).size === 0) await rm(file);
          }
        });
        await sweepCache(folder, 10);
      },
      { signal, onWait: () => progress.phase('waiting for another wcvmm that is compiling in an emulated instance') },
    );
  } catch (error) {
    // A cache that is full or may only be read.
    if (error instanceof WcvmmError && error.code === 'E_DISK') return null;
    throw error;
  }
  return path;
}
