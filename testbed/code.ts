/**
 * Keeps V8's code of the bundles for the command line (common/code-cache.ts): of all functions that a few commands called. In a
 * process of its own that runs those commands, the last as it is run without options, so that it may open nothing at the end.
 */
import { spawnSync } from 'node:child_process';
import { ftruncateSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Script } from 'node:vm';
import { projectRoot } from '../common/paths.ts';
import { codePath, loadBundlesWithCode } from '../common/code-cache.ts';

const require = createRequire(import.meta.url);
const bundles = join(projectRoot, 'dist/tool/bundle');
const cli = join(projectRoot, 'dist/tool/cli/cli.js');
const guest = join(projectRoot, process.arch === 'arm64' ? 'arm64-tests/build/guest.elf' : 'x86-tests/build/guest.elf');

/** By process: what `run` loads has the code of `run` alone, since to read what it does not call takes time. Where there is no KVM, all of them say so and less is kept. */
const COMMANDS = {
  verify: [['verify', '--no-sandbox', '--source', 'memory']],
  run: [
    ['run', '--no-sandbox', '--source', 'memory', guest],
    ['run', '--source', 'memory', guest],
  ],
} as const;

function bundlesThere(): readonly string[] {
  return readdirSync(bundles)
    .filter((name) => name.endsWith('.cjs'))
    .map((name) => join(bundles, name));
}

function runAndKeep(commands: readonly (readonly string[])[]): void {
  const scripts = new Map<string, Script>();
  loadBundlesWithCode((bundle, script) => scripts.set(bundle, script));
  const files = new Map(bundlesThere().map((bundle) => [bundle, openSync(codePath(bundle), 'a')]));
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

function isKeeping(name: string | undefined): name is keyof typeof COMMANDS {
  return name !== undefined && name in COMMANDS;
}

function keepAll(): void {
  for (const name of readdirSync(bundles)) if (name.endsWith('.code')) rmSync(join(bundles, name));
  for (const name of Object.keys(COMMANDS)) {
    const { status, signal, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), name], {
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${stderr}testbed/code: ${name} ended with ${signal ?? `code ${status}`}`);
  }
  const files = bundlesThere().map(codePath);
  const empty = files.filter((file) => statSync(file).size === 0);
  for (const file of empty) rmSync(file);
  if (empty.length === files.length) throw new Error('testbed/code: there is no code of any bundle');
}

const [, , name] = process.argv;
if (isKeeping(name)) runAndKeep(COMMANDS[name]);
else keepAll();
