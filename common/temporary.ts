/** Temporary folders whose names say whose they are, so that what a killed process has left is removed by the next. */
import { readlinkSync } from 'node:fs';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explainDisk } from './disk.ts';
import { isAlive, ownMark } from './process-mark.ts';

/** Process numbers mean something within one namespace only; containers may share a folder for temporary files. */
function namespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

/** Where everybody may write, a name proves nothing: only what belongs to one of `owners` is removed. */
async function sweep(owners: readonly number[]): Promise<void> {
  const own = new RegExp(`^wcvmm-[a-z]+-${namespace()}-(\\d+(?:-\\d*)?)\\.\\w+$`);
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const mark = own.exec(name)?.[1];
    if (mark === undefined || isAlive(mark)) continue;
    const path = join(tmpdir(), name);
    const found = await lstat(path).catch(() => null);
    if (found?.isDirectory() !== true || !owners.includes(found.uid)) continue;
    await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/**
 * A new folder; whoever asked for it removes it. Those of processes that are gone are removed now.
 *
 * Throws E_DISK where there is no room for one.
 *
 * @param purpose lower-case letters @param otherOwners users that folders are given to, beside this one
 */
export async function temporaryFolder(purpose: string, otherOwners: readonly number[] = []): Promise<string> {
  await sweep([process.geteuid?.() ?? 0, ...otherOwners]);
  const path = join(tmpdir(), `wcvmm-${purpose}-${namespace()}-${ownMark()}.`);
  return mkdtemp(path).catch((error: unknown) => {
    throw explainDisk(error, path) ?? error;
  });
}
