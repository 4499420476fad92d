/**
 * Runs command lines of wcvmm in this process, and keeps V8's code (common/code-cache.ts) of all functions that they called.
 *
 *     node keep-code.js FOLDER JSON
 *
 * FOLDER gets a file for each bundle, empty where none was loaded; JSON is a list of lists of arguments. The last command may be
 * one after which the process may open nothing any more.
 */
import { ftruncateSync, openSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import type { Script } from 'node:vm';
import { bundlesThere } from '../common/bundles.ts';
import { codePath, loadBundlesWithCode } from '../common/code-cache.ts';
import { projectRoot } from '../common/paths.ts';

const require = createRequire(import.meta.url);
const cli = join(projectRoot, 'dist/tool/cli/cli.js');

function runAndKeep(folder: string, commands: readonly (readonly string[])[]): void {
  const scripts = new Map<string, Script>();
  loadBundlesWithCode((bundle, script) => scripts.set(bundle, script));
  const files = new Map(bundlesThere().map((path) => [path, openSync(join(folder, basename(codePath(path))), 'a')]));
  const waiting = [...commands];
  const next = (): void => {
    const command = waiting.shift();
    if (command === undefined) {
      for (const [bundle, script] of scripts) {
        const fd = files.get(bundle) ?? -1;
        ftruncateSync(fd);
        writeSync(fd, script.createCachedData());
      }
      process.off('beforeExit', next);
      process.exitCode = 0;
      return;
    }
    process.argv = [process.argv0, cli, ...command];
    // oxlint-disable-next-line typescript/no-dynamic-delete
    delete require.cache[cli];
    require(cli);
  };
  process.on('beforeExit', next);
}

const [, , folder = '.', commands = '[]'] = process.argv;
runAndKeep(resolve(folder), JSON.parse(commands) as readonly (readonly string[])[]);
