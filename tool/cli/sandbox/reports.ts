/** Reports that are opened before a guest runs, and written when this process may open nothing any more. */
import { realpathSync, rmSync } from 'node:fs';
import { WcvmmError } from '../../../common/errors.ts';
import {
  changeMode,
  changeOwner,
  closeFile,
  openFile,
  statOrNull,
  syncFile,
  writeToFile,
} from '../../../common/files.ts';
import { randomBytes } from '../../../vmm/sys/random.ts';
import type { Placed } from './helper.ts';

export interface OpenReports {
  /** Those that somebody must put in their places. */
  readonly placed: readonly Placed[];
  /** All of it, then into its place by `place`; throws E_REPORT as writeWhole does. */
  write(path: string, text: string, place: (index: number) => void): Promise<void>;
}

interface OpenReport {
  readonly fd: number;
  /** In `placed`; null: what is there is no ordinary file, and is written to. */
  readonly index: number | null;
}

/** A report that is not written leaves what was there, and nothing else: the helper sees to that. Throws E_REPORT for one that cannot be written. */
export async function openReports(paths: readonly string[]): Promise<OpenReports> {
  const placed: Placed[] = [];
  const opened = new Map<string, OpenReport>();
  const openAll = paths.map(
    (path) => () =>
      explained(path, async () => {
        const there = statOrNull(path);
        if (there !== null && !there.isFile()) {
          opened.set(path, { fd: await openFile(path, 'w'), index: null });
          return;
        }
        // A symbolic link stays one: what it points to is replaced.
        const real = there === null ? path : realpathSync(path);
        const temporary = `${real}.${Buffer.from(randomBytes(16)).toString('hex')}.tmp`;
        const fd = await openFile(temporary, 'wx');
        if (there !== null) {
          await changeOwner(fd, there.uid, there.gid).catch(() => {});
          await changeMode(fd, there.mode & 0o777);
        }
        opened.set(path, { fd, index: placed.push({ temporary, path: real }) - 1 });
      }),
  );
  try {
    for (const openOne of openAll) await openOne();
  } catch (error) {
    for (const { temporary } of placed) rmSync(temporary, { force: true });
    throw error;
  }
  return {
    placed,
    write: (path, text, place) =>
      explained(path, async () => {
        const report = opened.get(path);
        if (report === undefined) throw new RangeError('it was not opened');
        await writeToFile(report.fd, text);
        if (report.index !== null) await syncFile(report.fd);
        await closeFile(report.fd);
        if (report.index !== null) place(report.index);
      }),
  };
}

async function explained(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new WcvmmError(
      'E_REPORT',
      `the report could not be written to ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
