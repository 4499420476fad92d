/** A file system that takes no more: not this program's mistake, and nothing that a stack trace would help with. */
import { WcvmmError } from './errors.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

const ELSEWHERE =
  'What wcvmm keeps goes to $XDG_CACHE_HOME/wcvmm (or ~/.cache/wcvmm), and what it needs for a while to $TMPDIR (or /tmp)';

/**
 * What to say of an error of node:fs; null: it is not one of a full or read-only file system, or has been explained already.
 *
 * @param at what was to be written, where the error itself names nothing
 */
export function explainDisk(error: unknown, at: string | null = null): WcvmmError | null {
  if (!(error instanceof Error) || error instanceof WcvmmError || !('code' in error)) return null;
  const code = String(error.code);
  const path = at ?? ('path' in error ? String(error.path) : 'a file');
  if (FULL.has(code))
    return new WcvmmError(
      'E_DISK',
      `${path} could not be written, because its file system is full (${code}); nothing of it was left. Make room there, or choose another place. ${ELSEWHERE}.`,
      { cause: error },
    );
  if (code !== 'EROFS') return null;
  return new WcvmmError(
    'E_DISK',
    `${path} could not be written, because its file system is read-only (EROFS). Mount it for writing, or choose another place. ${ELSEWHERE}.`,
    { cause: error },
  );
}
