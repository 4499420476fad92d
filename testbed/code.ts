/** Keeps V8's code of the bundles for the command line on this machine, beside them: testbed/keep-code.ts. */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFolder, bundlesThere } from '../common/bundles.ts';
import { codePath } from '../common/code-cache.ts';
import { projectRoot } from '../common/paths.ts';

const guest = join(projectRoot, process.arch === 'arm64' ? 'arm64-tests/build/guest.elf' : 'x86-tests/build/guest.elf');

/**
 * Each of a process of its own: what `run` loads has the code of `run` alone, since to read what it does not call takes time. As it
 * is run without options, it may open nothing at the end. Where there is no KVM, all of them say so and less is kept.
 */
const PROCESSES = [
  [['verify', '--no-sandbox', '--source', 'memory']],
  [
    ['run', '--no-sandbox', '--source', 'memory', guest],
    ['run', '--source', 'memory', guest],
  ],
];

for (const name of readdirSync(bundleFolder)) if (name.endsWith('.code')) rmSync(join(bundleFolder, name));
for (const commands of PROCESSES) {
  const program = join(projectRoot, 'dist/testbed/keep-code.js');
  const { status, signal, stderr } = spawnSync(process.execPath, [program, bundleFolder, JSON.stringify(commands)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${stderr}testbed/code: a process ended with ${signal ?? `code ${status}`}`);
}
const files = bundlesThere().map(codePath);
const empty = files.filter((file) => statSync(file).size === 0);
for (const file of empty) rmSync(file);
if (empty.length === files.length) throw new Error('testbed/code: there is no code of any bundle');
