/**
 * A port for a process that will lose its rights: what it is to open later is opened now and kept. Afterwards files are answered from that, and
 * everything else by name is refused, as the kernel would.
 */
import type { Scope } from '../../common/scope.ts';
import { O_RDONLY, O_RDWR } from '../sys/libc.ts';
import { ERRNO, SysError } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { duplicate } from '../sys/sandbox-calls.ts';

/** What is wanted after the first entry into a guest. What is not there, or may not be opened, is remembered as such. */
export interface Kept {
  /** Devices that are opened for reading and writing, then for reading. */
  readonly devices: readonly string[];
  /** Text files; they are read anew each time, through the file that was kept. */
  readonly files: readonly string[];
  /** Whose presence and contents are asked for: they stay what they were. */
  readonly folders: readonly string[];
}

/** Who still has rights, and does a few things for this process: see tool/cli/sandbox/helper.ts. */
export interface Helper {
  /** False: it is nothing that the helper does. */
  takes(path: string): boolean;
  readText(path: string): string;
  writeText(path: string, text: string): void;
  makeFolder(path: string): void;
  removeFolder(path: string): void;
}

export interface KeptPort {
  readonly port: Port;
  /** From now on only what was kept. */
  seal(): void;
}

type Answer<T> = { readonly value: T } | { readonly error: unknown };

function answerOf<T>(ask: () => T): Answer<T> {
  try {
    return { value: ask() };
  } catch (error) {
    return { error };
  }
}

const CHUNK = 1 << 16;

/** Opens what is to be kept; it is closed with `scope`. */
export function keepOpen(port: Port, scope: Scope, kept: Kept, helper: Helper | null): KeptPort {
  const opened = new Map<string, Answer<number>>();
  const open = (path: string, flags: number): Answer<number> => {
    const answer = answerOf(() => port.open(path, flags));
    opened.set(path, answer);
    if ('value' in answer) scope.defer(() => port.close(answer.value));
    return answer;
  };
  for (const path of kept.devices) if ('error' in open(path, O_RDWR)) open(path, O_RDONLY);
  for (const path of kept.files) open(path, O_RDONLY);
  const lists = new Map(kept.folders.map((path) => [path, answerOf(() => port.list(path))]));
  let sealed = false;

  const fileOf = (path: string): number => {
    const answer = opened.get(path);
    if (answer === undefined) throw refused('open', path);
    if ('error' in answer) throw answer.error;
    return answer.value;
  };
  const readKept = (path: string): string => {
    const [fd, chunks, chunk] = [fileOf(path), [] as Uint8Array[], new Uint8Array(CHUNK)];
    for (let at = 0n; ;) {
      const got = port.pread(fd, chunk, at);
      if (got === 0) return Buffer.concat(chunks).toString('utf8');
      chunks.push(chunk.slice(0, got));
      at += BigInt(got);
    }
  };
  const by = (what: string, path: string, ask: (helper: Helper) => void): void => {
    if (helper === null || !helper.takes(path)) throw refused(what, path);
    ask(helper);
  };
  const sealedPort: Port = {
    ...port,
    open: (path) => duplicate(fileOf(path)),
    readText: (path) => (helper?.takes(path) === true ? helper.readText(path) : readKept(path)),
    writeText: (path, text) => by('write', path, (one) => one.writeText(path, text)),
    makeFolder: (path) => by('mkdir', path, (one) => one.makeFolder(path)),
    removeFolder: (path) => by('rmdir', path, (one) => one.removeFolder(path)),
    list: (path) => {
      const answer = lists.get(path);
      if (answer === undefined) throw refused('readdir', path);
      if ('error' in answer) throw answer.error;
      return answer.value;
    },
    exists: (path) => ['value' in (lists.get(path) ?? {}), 'value' in (opened.get(path) ?? {})].includes(true),
    linkName: (path) => {
      throw refused('readlink', path);
    },
    linkTarget: (path) => {
      throw refused('readlink', path);
    },
    removeFile: (path) => {
      throw refused('unlink', path);
    },
  };
  const current = (): Port => (sealed ? sealedPort : port);
  return {
    port: {
      ...port,
      open: (path, flags) => current().open(path, flags),
      readText: (path) => current().readText(path),
      writeText: (path, text) => current().writeText(path, text),
      makeFolder: (path) => current().makeFolder(path),
      removeFolder: (path) => current().removeFolder(path),
      list: (path) => current().list(path),
      exists: (path) => current().exists(path),
      linkName: (path) => current().linkName(path),
      linkTarget: (path) => current().linkTarget(path),
      removeFile: (path) => current().removeFile(path),
    },
    seal: () => {
      sealed = true;
    },
  };
}

function refused(call: string, path: string): SysError {
  return new SysError(`${call} ${path} in the sandbox`, ERRNO.EACCES);
}
