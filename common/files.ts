/** A few of node:fs/promises' functions, without it: to load it takes longer than what a short command does with files. */
import { close, fchmod, fchown, fsync, open, readFile, readFileSync, statSync, writeFile } from 'node:fs';
import type { Stats } from 'node:fs';

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function promised<T>(begin: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => begin((error, value) => (error === null ? resolve(value) : reject(error))));
}

function done(begin: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return promised<void>((end) => begin((error) => end(error)));
}

/** May have to wait for its other end, as that of a pipe. */
export const openFile = (path: string, flags: string): Promise<number> => promised((end) => open(path, flags, end));
export const closeFile = (fd: number): Promise<void> => done((end) => close(fd, end));
export const changeOwner = (fd: number, uid: number, gid: number): Promise<void> =>
  done((end) => fchown(fd, uid, gid, end));
export const changeMode = (fd: number, mode: number): Promise<void> => done((end) => fchmod(fd, mode, end));
export const syncFile = (fd: number): Promise<void> => done((end) => fsync(fd, end));
export const writeToFile = (fd: number, text: string): Promise<void> => done((end) => writeFile(fd, text, end));

/** Null where there is nothing, or it cannot be asked. */
export function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

/** A whole file, at once where it is an ordinary one: half the time. What may keep its reader waiting must not keep Ctrl-C waiting too. */
export async function readWholeFile(path: string): Promise<Uint8Array> {
  return statSync(path).isFile() ? readFileSync(path) : promised<Buffer>((end) => readFile(path, end));
}
