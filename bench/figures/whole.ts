/** What a person waits for on a machine that has nothing yet, and the project's own tests: hours. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { projectRoot } from '../../common/paths.ts';
import type { Figure } from '../figure.ts';
import { CLI, environment } from '../spend.ts';

const run = promisify(execFile);

/** Seconds. Verdicts may be any: only that there is one counts. */
async function seconds(file: string, args: readonly string[], cache?: string): Promise<number> {
  const start = performance.now();
  const env = { ...environment, ...(cache !== undefined && { XDG_CACHE_HOME: cache }) };
  await run(file, args, { cwd: projectRoot, env, maxBuffer: 1 << 28 });
  return (performance.now() - start) / 1000;
}

/** Everything that is in an empty cache is fetched and built; then one kernel again, from its sources, in the tree that is there. */
function fromNothing(
  machine: string,
  arch: string,
  what: readonly string[],
  file = process.execPath,
): Figure['sample'] {
  return async () => {
    const cache = await mkdtemp(join(tmpdir(), 'wcvmm-bench-'));
    try {
      const figure = await seconds(file, what, cache);
      const cross = arch === 'arm64' ? 'aarch64-linux-gnu-' : 'x86_64-linux-gnu-';
      const tree = ['-C', join(cache, 'wcvmm/kernel-tree', arch, 'linux'), `ARCH=${arch}`, `CROSS_COMPILE=${cross}`];
      await seconds('make', [...tree, 'clean']);
      const target = arch === 'arm64' ? 'Image' : 'bzImage';
      const floor = await seconds('nice', ['make', ...tree, `-j${availableParallelism()}`, target]);
      return { figure, floor: machine === 'all' ? 2 * floor : floor };
    } finally {
      await rm(cache, { recursive: true, force: true });
    }
  };
}

export const firstVerdict: Figure = {
  name: 'first-verdict',
  title: 'empty cache to the first verdict (arm64)',
  floor: 'one kernel build',
  unit: 's',
  goal: { kind: 'ratio', most: 1.2 },
  cost: 'hours',
  runs: 1,
  sample: fromNothing('arm64', 'arm64', [CLI, 'verify', '--testbed', 'arm64']),
};

export const wholeStart: Figure = {
  name: 'start',
  title: 'empty cache to the end of npm start',
  floor: 'two kernel builds',
  unit: 's',
  goal: { kind: 'ratio', most: 1.3 },
  cost: 'hours',
  runs: 1,
  sample: fromNothing('all', 'arm64', ['start'], 'npm'),
};

export const tests: Figure = {
  name: 'tests',
  title: 'npm test, warm',
  floor: '',
  unit: 's',
  goal: { kind: 'none' },
  cost: 'hours',
  runs: 1,
  sample: async () => ({ figure: await seconds('npm', ['test']), floor: null }),
};
