import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { cacheRoot, contentKey, exists } from '../../../common/cache.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { diffOf, readSeries, type Patch } from '../../../testbed/kernel/series.ts';
import { fetchSource, sourceAtHand, type KernelSource } from '../../../testbed/kernel/source.ts';
import { KernelTree } from '../../../testbed/kernel/tree.ts';
import { withLock } from '../../../common/lock.ts';
import { progressOn, type Progress } from '../../../common/progress.ts';
import { outputOf, runProgram } from '../../../common/program.ts';
import { kernelDoc, Objects } from './compile.ts';
import { added, complaints, silencedFiles, sparseComplaints } from './complaints.ts';
import { CheckRecord, type Done } from './record.ts';
import { findSparse, type Sparse } from './sparse.ts';
import {
  arm64,
  documentedFiles,
  i386,
  makeTargets,
  patchTargets,
  sourceFiles,
  sparseTargets,
  x86,
  type CheckArch,
} from './targets.ts';

/** One line of the summary: what was checked, how it came out, and everything that is wrong. */
export interface CheckLine {
  what: string;
  result: string;
  problems: readonly string[];
  /** It could not be checked; `result` says why. */
  skipped?: true;
}

export interface CheckReport {
  lines: readonly CheckLine[];
  /** Of all steps, and of those that this run did itself: the others' results were on record. */
  seconds: { all: number; now: number };
}

const architectures: readonly CheckArch[] = [arm64, x86];

/**
 * Checks the patch series as its reviewers will: checkpatch, sparse, kernel-doc, a compile of every patch. Takes an hour the first time; goes on where it was
 * stopped. Throws E_SETUP without sparse or perl, E_KERNEL_SOURCE for a patch that does not apply,
 * E_KERNEL_BUILD for an unpatched tree that does not compile.
 */
export async function checkSeries(linuxSource: string | undefined): Promise<CheckReport> {
  for (const [program, debian] of [
    ['sparse', 'sparse'],
    ['perl', 'perl'],
  ] as const)
    if ((await outputOf(program, ['--version']))?.exitCode !== 0)
      throw new WcvmmError('E_SETUP', `${program} is not installed; install it with "testbed/apt install ${debian}".`);
  const progress = progressOn(process.stderr);
  return interruptible(async (signal) => {
    try {
      const lock = join(cacheRoot(), 'locks', 'kernel-check');
      return await withLock(
        lock,
        async () => {
          const source = (await sourceAtHand(linuxSource)) ?? (await fetchSource(progress, signal));
          return new Check(source, await readSeries(), progress, signal).run();
        },
        { signal, onWait: () => progress.phase('waiting for another check') },
      );
    } finally {
      progress.done();
    }
  });
}

class Check {
  readonly #source: KernelSource;
  readonly #series: readonly Patch[];
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #tree: KernelTree;
  readonly #folder = join(cacheRoot(), 'kernel-check');
  readonly #record = new CheckRecord(join(cacheRoot(), 'kernel-check.json'));
  readonly #seconds = { all: 0, now: 0 };
  /** The keys of the steps in `#seconds`: some are asked for twice. */
  readonly #counted = new Set<string>();

  constructor(source: KernelSource, series: readonly Patch[], progress: Progress, signal: AbortSignal) {
    this.#source = source;
    this.#series = series;
    this.#progress = progress;
    this.#signal = signal;
    this.#tree = new KernelTree(this.#folder);
  }

  async run(): Promise<CheckReport> {
    const all = this.#series.length;
    // First what is quick to fail.
    await this.#step('series', all, [], async () => {
      await this.#bringTo(all);
      return [];
    });
    const lines: CheckLine[] = [
      { what: 'series', result: `${all} patches apply to ${this.#source.identity}, without fuzz`, problems: [] },
    ];
    lines.push(await this.#checkpatch());

    const sparse = await this.#findSparse();
    const stock = new Map<string, string[]>();
    const stockDoc = await this.#kernelDoc(0);
    const stockI386 = await this.#compile(0, i386);
    for (const arch of architectures) {
      stock.set(arch.arch, await this.#compile(0, arch));
      // The tree has its object files. Otherwise it comes last: taking the patches out costs a compile.
      if (sparse !== null && (await this.#tree.has(this.#source, []))) await this.#sparse(0, arch, sparse);
    }
    for (let count = 1; count <= all; count += 1)
      for (const arch of architectures) await this.#compilesOrSaysWhy(count, arch);
    for (const arch of architectures) lines.push(await this.#everyPatch(arch, stock.get(arch.arch) ?? []));
    const found32 = await this.#compilesOrSaysWhy(all, i386);
    lines.push({
      what: 'compile W=1, i386',
      result: `${i386.folders.join(' ')} with all patches`,
      problems: added(found32, stockI386),
    });
    const doc = await this.#kernelDoc(all);
    lines.push({
      what: 'kernel-doc',
      result: `${documentedFiles(this.#series).length} files; warnings: ${stockDoc.length} in stock, ${doc.length} now`,
      problems: added(doc, stockDoc),
    });
    lines.push(...(await this.#sparseOfAll(sparse)));
    return { lines, seconds: this.#seconds };
  }

  async #checkpatch(): Promise<CheckLine> {
    const problems: string[] = [];
    for (const [index, patch] of this.#series.entries()) {
      const message = patch.text.replace(/^Subject: \[PATCH \d+\/\d+\]/m, '');
      const { output } = await this.#step(
        `checkpatch of patch ${index + 1} of ${this.#series.length}`,
        index + 1,
        [message],
        async () => {
          if (!(await exists(this.#tree.path))) await this.#bringTo(this.#series.length);
          const file = join(this.#folder, 'checked.patch');
          await writeFile(file, patch.text);
          const lines: string[] = [];
          // FILE_PATH_CHANGES asks for a MAINTAINERS entry for each new file, whether or not its folder has one.
          // UNKNOWN_COMMIT_ID is what it says of every Fixes: tag in a tree without git.
          const args = [
            'scripts/checkpatch.pl',
            '--strict',
            '--terse',
            '--no-summary',
            '--ignore',
            'FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID',
            file,
          ];
          // It ends with 1 if it found something. What it found is all that it writes in this form.
          await runProgram('perl', args, {
            signal: this.#signal,
            cwd: this.#tree.path,
            onLine: (line) => lines.push(line),
            failure: checkpatchFailure,
          }).catch((error: unknown) => {
            if (!lines.some((line) => isFinding(line))) throw error;
          });
          return lines
            .filter((line) => isFinding(line))
            .map((line) => line.replace(/^.*checked\.patch:/, `${patch.name}:`));
        },
      );
      problems.push(...output);
    }
    return { what: 'checkpatch --strict', result: `${this.#series.length} patches`, problems };
  }

  /** Every patch compiles on its own, and brings no warning at W=1 that an unpatched tree does not have. */
  async #everyPatch(arch: CheckArch, known: readonly string[]): Promise<CheckLine> {
    const problems: string[] = [];
    for (const [index, patch] of this.#series.entries()) {
      const found = await this.#compilesOrSaysWhy(index + 1, arch);
      problems.push(...added(found, known).map((text) => `${patch.name}: ${text}`));
    }
    return {
      what: `compile W=1, ${arch.arch}`,
      result: `each of ${this.#series.length} patches; stock has ${known.length} warnings in the same files`,
      problems,
    };
  }

  async #compilesOrSaysWhy(count: number, arch: CheckArch): Promise<string[]> {
    return this.#compile(count, arch).catch((error: unknown) => {
      if (error instanceof WcvmmError && error.code === 'E_KERNEL_BUILD') return [error.message];
      throw error;
    });
  }

  /** The complaints of a compile with the first `count` patches; of what had not been compiled before. */
  async #compile(count: number, arch: CheckArch): Promise<string[]> {
    const what = `${count === 0 ? 'stock' : `patch ${count} of ${this.#series.length}`}: compiling for ${arch.arch}`;
    const { output } = await this.#step(what, count, [arch.arch, ...arch.folders], async () => {
      await this.#bringTo(count);
      const patch = this.#series[count - 1];
      const part = patch !== undefined && count < this.#series.length && arch.files;
      const targets = part ? patchTargets(patch, arch) : makeTargets(await this.#existing(arch), arch);
      if (targets.length === 0) return [];
      return complaints(await this.#objects(arch).make(targets, (files) => this.#progress.update(`${files} files`)));
    });
    return output;
  }

  /** The kernel's test of sparse is in the tree, which need not be there if all else is on record. */
  async #findSparse(): Promise<Sparse | null> {
    if (!(await exists(this.#tree.path))) await this.#bringTo(this.#series.length);
    return findSparse(this.#tree.path);
  }

  /** No complaint of sparse that an unpatched tree does not have. */
  async #sparseOfAll(sparse: Sparse | null): Promise<CheckLine[]> {
    if (sparse === null)
      return [
        {
          what: 'sparse',
          result:
            "not run: this machine's sparse fails the kernel's scripts/checker-valid.sh, or misses a known mistake",
          problems: [],
          skipped: true,
        },
      ];
    const patched = new Map<string, string[]>();
    for (const arch of architectures) patched.set(arch.arch, await this.#sparse(this.#series.length, arch, sparse));
    const lines: CheckLine[] = [];
    for (const arch of architectures) {
      const files = sourceFiles(this.#series, arch);
      const before = await this.#sparse(0, arch, sparse);
      const now = patched.get(arch.arch) ?? [];
      const silenced = silencedFiles(now, files);
      const blind =
        silenced.length === 0
          ? ''
          : `; it stopped at an error in ${silenced.join(' ')} and may have missed the rest there`;
      lines.push({
        what: `sparse, ${arch.arch}`,
        result: `${files.length} files; warnings: ${before.length} in stock, ${now.length} now${blind}; ${sparse.name}`,
        problems: added(now, before),
      });
    }
    return lines;
  }

  async #sparse(count: number, arch: CheckArch, { command, name }: Sparse): Promise<string[]> {
    const files = sourceFiles(this.#series, arch);
    const { output } = await this.#step(
      `sparse of ${arch.arch}, ${count === 0 ? 'stock' : 'patched'}`,
      count,
      [name, command, ...files],
      async () => {
        await this.#bringTo(count);
        const targets = sparseTargets(await this.#existing(arch), arch);
        return sparseComplaints(
          await this.#objects(arch).sparse(command, targets, (done) => this.#progress.update(`${done} files`)),
        );
      },
    );
    return output;
  }

  async #kernelDoc(count: number): Promise<string[]> {
    const files = documentedFiles(this.#series);
    const { output } = await this.#step(`kernel-doc, ${count === 0 ? 'stock' : 'patched'}`, count, files, async () => {
      await this.#bringTo(count);
      const here: string[] = [];
      for (const file of files) if (await exists(join(this.#tree.path, file))) here.push(file);
      return complaints(await kernelDoc(this.#tree.path, here, this.#signal));
    });
    return output;
  }

  #objects(arch: CheckArch): Objects {
    return new Objects(this.#tree.path, join(this.#folder, arch.arch), arch, this.#signal);
  }

  /** The files of the series that the tree has as it is. */
  async #existing(arch: CheckArch): Promise<string[]> {
    const files: string[] = [];
    for (const file of sourceFiles(this.#series, arch)) if (await exists(join(this.#tree.path, file))) files.push(file);
    return files;
  }

  async #bringTo(count: number): Promise<void> {
    await this.#tree.bringTo(this.#source, this.#series.slice(0, count), this.#progress, this.#signal);
  }

  /**
   * Does a step that depends on what the first `count` patches do, and on `more`, unless its result is on record.
   */
  async #step(what: string, count: number, more: readonly string[], body: () => Promise<string[]>): Promise<Done> {
    const key = contentKey(
      what.replace(/ \d+ of \d+/, ''),
      this.#source.identity,
      ...more,
      ...this.#series.slice(0, count).map(diffOf),
    );
    const known = await this.#record.find(key);
    if (known !== null) {
      if (!this.#counted.has(key)) this.#seconds.all += known.seconds;
      this.#counted.add(key);
      return known;
    }
    this.#progress[what.startsWith('checkpatch') ? 'moment' : 'phase'](what);
    const began = process.hrtime.bigint();
    const output = await body();
    const done: Done = { output, seconds: Number((process.hrtime.bigint() - began) / 1_000_000_000n) };
    this.#seconds.all += done.seconds;
    this.#seconds.now += done.seconds;
    this.#counted.add(key);
    await this.#record.add(key, done);
    return done;
  }
}

function isFinding(line: string): boolean {
  return /checked\.patch:\d+: (?:ERROR|WARNING|CHECK):/.test(line);
}

function checkpatchFailure(tail: string, cause: unknown): WcvmmError {
  return new WcvmmError('E_SETUP', `checkpatch.pl did not run.\n${tail}`, { cause });
}
