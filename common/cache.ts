import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { explainDisk } from './disk.ts';
import { isAlive, ownMark } from './process-mark.ts';

/**
 * Where everything that is expensive to make is kept: kernels, root file systems, downloads. Safe to delete
 * at any time; XDG_CACHE_HOME moves it, as the XDG base directory specification says.
 */
export function cacheRoot(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base !== undefined && base.startsWith('/') ? base : join(homedir(), '.cache'), 'wcvmm');
}

/** A file name for what was made from `parts`: the same parts in the same order, and only they, give it again. */
export function contentKey(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    // The length keeps ["ab", "c"] and ["a", "bc"] apart.
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex').slice(0, 24);
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Whether the cache has `path`. If it has, `sweepCache` keeps it long enough for the caller to open it. Where the cache may only be
 * read, nobody sweeps it.
 */
export async function inCache(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    (error: NodeJS.ErrnoException) => (READ_ONLY.has(error.code ?? '') ? exists(path) : false),
  );
}

const READ_ONLY = new Set(['EROFS', 'EACCES', 'EPERM']);

/**
 * Makes `path` appear whole or not at all, also after a power cut: `write` fills a file or folder beside it, which is then
 * renamed. What was half written is removed when `write` fails; what a killed process left is removed by `sweepCache`.
 *
 * Throws E_DISK where the file system is full or read-only.
 */
export async function publish(path: string, write: (temporary: string) => Promise<void>): Promise<string> {
  await ensureFolder(dirname(path));
  const temporary = join(
    dirname(path),
    `${temporaryPrefix}${ownMark()}.${randomBytes(4).toString('hex')}.${basename(path)}`,
  );
  try {
    await write(temporary);
    await flush(temporary);
    await rename(temporary, path);
    await flushOne(dirname(path));
  } catch (error) {
    // Of a read-only file system nothing can be removed either, and there is nothing.
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw explainDisk(error, path) ?? error;
  }
  return path;
}

/** Throws E_DISK where the file system is full or read-only. */
export async function ensureFolder(path: string): Promise<void> {
  try {
    // Node's recursive mkdir says ENOENT of a read-only file system.
    for (const missing of await missingOf(path)) await mkdir(missing).catch(isThere);
  } catch (error) {
    throw explainDisk(error, path) ?? error;
  }
}

const temporaryPrefix = '.tmp.';

/** Has the disk hold a file, or all that is in a folder; links are part of their folder. */
async function flush(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.isDirectory()) for (const name of await readdir(path)) await flush(join(path, name));
  if (found.isDirectory() || found.isFile()) await flushOne(path);
}

async function flushOne(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Somebody else was quicker. */
function isThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

/** The folders on the way to `path` that are not there, outermost first. */
async function missingOf(path: string): Promise<readonly string[]> {
  if ((await exists(path)) || dirname(path) === path) return [];
  return [...(await missingOf(dirname(path))), path];
}

/** ms. Whoever learned from `inCache` of a file may have to fetch or build others before it is opened. */
const hour = 60 * 60 * 1000;

/**
 * Removes what processes that no longer live left half written in `folder`, and all but the `keep` youngest of its files, by when
 * they were last used. What was used in the last `recent` ms stays, because somebody may be about to open it; a file that is
 * open lives on until it is closed.
 */
export async function sweepCache(folder: string, keep: number, recent = hour): Promise<void> {
  const names = await readdir(folder);
  const whole: { path: string; time: number }[] = [];
  for (const name of names) {
    const path = join(folder, name);
    if (name.startsWith(temporaryPrefix)) {
      if (!isAlive(name.slice(temporaryPrefix.length).split('.')[0] ?? ''))
        await rm(path, { recursive: true, force: true });
      continue;
    }
    const found = await stat(path).catch(() => null);
    if (found !== null) whole.push({ path, time: found.mtimeMs });
  }
  whole.sort((a, b) => b.time - a.time);
  const unused = whole.slice(keep).filter(({ time }) => time < Date.now() - recent);
  for (const { path } of unused) await rm(path, { recursive: true, force: true });
}
