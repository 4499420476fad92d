import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ensureFolder } from './cache.ts';
import { explainDisk } from './disk.ts';
import { WcvmmError } from './errors.ts';

/**
 * Runs `body` while this process alone holds the lock file `path`.
 *
 * The lock is flock(2)'s, held by a child that lives exactly as long as our end of its standard input: however
 * this process ends, the kernel closes the pipe, the child ends and the lock is free. So no lock is ever stale.
 * `onWait` is called once if somebody else holds it. Throws E_DISK where the file system is full or read-only.
 */
export async function withLock<T>(
  path: string,
  body: () => Promise<T>,
  options: { signal?: AbortSignal; onWait?: () => void } = {},
): Promise<T> {
  await ensureFolder(dirname(path));
  await create(path);
  options.signal?.throwIfAborted();
  const { execa } = await import('execa');
  // Its own process group: Ctrl-C in a terminal must not free the lock before `body` has stopped.
  const holder = execa('flock', [path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    buffer: false,
    reject: false,
  });
  const waiting = setTimeout(() => options.onWait?.(), 200);
  const abort = (): void => {
    holder.stdin.end();
    holder.kill();
  };
  options.signal?.addEventListener('abort', abort);
  try {
    const failed = await Promise.race([once(holder.stdout, 'data').then(() => null), holder]);
    clearTimeout(waiting);
    options.signal?.throwIfAborted();
    if (failed !== null)
      throw new WcvmmError(
        'E_TESTBED',
        `The lock ${path} could not be taken; flock of Debian's util-linux is needed and the file must be writable.`,
        { cause: failed },
      );
    options.signal?.removeEventListener('abort', abort);
    return await body();
  } finally {
    clearTimeout(waiting);
    options.signal?.removeEventListener('abort', abort);
    holder.stdin.end();
    await holder;
  }
}

/** flock(1) would say why it cannot, in words of its own. */
async function create(path: string): Promise<void> {
  try {
    await (await open(path, 'a')).close();
  } catch (error) {
    const why = explainDisk(error, path);
    if (why !== null) throw why;
  }
}
