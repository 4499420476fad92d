import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WcvmmError } from './errors.ts';

/**
 * Runs `body` while this process alone holds the lock file `path`.
 *
 * The lock is flock(2)'s, held by a child that lives exactly as long as our end of its standard input: however
 * this process ends, the kernel closes the pipe, the child ends and the lock is free. So no lock is ever stale.
 * `onWait` is called once if somebody else holds it.
 */
export async function withLock<T>(
  path: string,
  body: () => Promise<T>,
  options: { signal?: AbortSignal; onWait?: () => void } = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
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
