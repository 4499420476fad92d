import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { WcvmmError } from '../../common/errors.ts';
import { runProgram } from '../../common/program.ts';
import type { Progress } from '../../common/progress.ts';
import { touchedFiles, type Patch } from './series.ts';
import { unpack, type Extent, type KernelSource } from './source.ts';

const stateSchema = v.object({
  identity: v.string(),
  /** The patches that the tree has now; null while they are being changed, when its state is unknown. */
  applied: v.nullable(v.array(v.object({ name: v.string(), text: v.string() }))),
});

/**
 * A kernel tree in the cache with its object files, kept because a build after a change of the series then
 * takes seconds instead of minutes. Whoever calls holds the tree's lock.
 */
export class KernelTree {
  readonly path: string;
  readonly #state: string;
  readonly #extent: Extent;

  constructor(folder: string, extent: Extent = 'testbed') {
    this.#extent = extent;
    this.path = join(folder, 'linux');
    this.#state = join(folder, 'state.json');
  }

  /** Whether the tree is `source` with exactly `patches` now. */
  async has(source: KernelSource, patches: readonly Patch[]): Promise<boolean> {
    return JSON.stringify(await this.#appliedTo(source)) === JSON.stringify(patches);
  }

  /** Makes the tree `source` with exactly `patches`, from whatever it is now. */
  async bringTo(
    source: KernelSource,
    patches: readonly Patch[],
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const applied = await this.#appliedTo(source);
    if (applied === null) await this.#startOver(source, progress, signal);
    const now = applied ?? [];
    if (JSON.stringify(now) === JSON.stringify(patches)) return;
    progress.moment(patches.length === 0 ? 'taking the patches out' : `applying ${patches.length} patches`);
    await this.#record(source, null);
    const has = [...now];
    await withStableTimes(this.path, [...now, ...patches], async () => {
      for (const patch of now.toReversed()) {
        await this.#patch(patch, '--reverse', signal);
        has.pop();
      }
      for (const patch of patches) {
        await this.#patch(patch, '--forward', signal);
        has.push(patch);
      }
    }).finally(async () => {
      // A patch that does not apply has changed nothing. Only an interruption leaves a tree in an unknown state.
      if (!signal.aborted) await this.#record(source, has);
    });
  }

  async #appliedTo(source: KernelSource): Promise<readonly Patch[] | null> {
    try {
      const state = v.parse(stateSchema, JSON.parse(await readFile(this.#state, 'utf8')));
      return state.identity === source.identity ? state.applied : null;
    } catch {
      return null;
    }
  }

  async #startOver(source: KernelSource, progress: Progress, signal: AbortSignal): Promise<void> {
    await rm(dirname(this.path), { recursive: true, force: true });
    await mkdir(dirname(this.path), { recursive: true });
    await unpack(source, this.path, this.#extent, progress, signal);
    await this.#record(source, []);
  }

  async #record(source: KernelSource, applied: readonly Patch[] | null): Promise<void> {
    await writeFile(`${this.#state}.new`, JSON.stringify({ identity: source.identity, applied }));
    await rename(`${this.#state}.new`, this.#state);
  }

  /** Applies or takes out one patch, whole or not at all. */
  async #patch(patch: Patch, direction: '--forward' | '--reverse', signal: AbortSignal): Promise<void> {
    const file = join(dirname(this.path), 'current.patch');
    await writeFile(file, patch.text);
    // No fuzz: a patch that fits only nearly may land in the wrong place and still compile.
    const args = [
      '-p1',
      '--batch',
      '--fuzz=0',
      '--no-backup-if-mismatch',
      '--reject-file=-',
      direction,
      '--input',
      file,
    ];
    const failure = (tail: string, cause: unknown): WcvmmError =>
      new WcvmmError(
        'E_KERNEL_SOURCE',
        `${patch.name} does not apply to this Linux source; the series is made for Linux 7.3.\n${tail}`,
        { cause },
      );
    await runProgram('patch', ['--dry-run', ...args], { signal, cwd: this.path, failure });
    await runProgram('patch', args, { signal, cwd: this.path, failure });
  }
}

/**
 * Runs `change` and gives every file of `patches` that then has its old content its old time again: otherwise
 * make would compile again all that depends on it.
 */
async function withStableTimes(root: string, patches: readonly Patch[], change: () => Promise<void>): Promise<void> {
  const files = new Set(patches.flatMap((patch) => touchedFiles(patch.text)).map((file) => join(root, file)));
  const before = new Map<string, { digest: string; atime: Date; mtime: Date }>();
  for (const file of files) {
    const digest = await digestOf(file);
    if (digest === null) continue;
    const { atime, mtime } = await stat(file);
    before.set(file, { digest, atime, mtime });
  }
  await change();
  for (const [file, old] of before) if ((await digestOf(file)) === old.digest) await utimes(file, old.atime, old.mtime);
}

async function digestOf(file: string): Promise<string | null> {
  const bytes = await readFile(file).catch(() => null);
  return bytes === null ? null : createHash('sha256').update(bytes).digest('hex');
}
