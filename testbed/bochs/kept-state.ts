/**
 * The state of an instance that has booted and loaded wcvmm, kept in the cache: a session that begins there takes
 * seconds instead of a whole boot. Nothing depends on it; without one, and if one does not work, the instance boots.
 */
import { constants } from 'node:fs';
import { chown, copyFile, mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import { cacheRoot, contentKey, exists, publish, sweepCache } from '../../common/cache.ts';
import { withSerial, type SerialPort } from './configuration.ts';
import type { BochsDebugger } from './debugger.ts';

/** Each takes about as much disk as the instance used memory: 100 MB. */
const mostStates = 4;

/** ms. A state is opened as soon as it is found, or never. */
const openingTime = 2 * 60 * 1000;

/** What Bochs calls the content of the job's disk in a state. */
const jobImage = 'hard_drive.1.drive0.image';

const states = (): string => join(cacheRoot(), 'bochs-state');

/** `of`: everything that the state was made from. */
export function stateFolder(...of: readonly (string | Uint8Array)[]): string {
  return join(states(), contentKey(...of));
}

/**
 * Makes `into` a copy of the kept state with this session's job on its disk, and its console where this session has it
 * it. Returns false if there is none.
 */
export async function openState(kept: string, into: string, job: Uint8Array, serial: SerialPort): Promise<boolean> {
  const names = await readdir(kept).catch(() => null);
  if (names === null) return false;
  // The youngest are kept, by when they were last of use.
  await utimes(kept, new Date(), new Date());
  await mkdir(into);
  for (const name of names) if (name !== 'config') await symlink(join(kept, name), join(into, name));
  await writeFile(join(into, 'config'), withSerial(await readFile(join(kept, 'config'), 'utf8'), serial));
  await writeFile(join(into, jobImage), job);
  return true;
}

/** Keeps the state of a stopped instance that may write in `folder`. One that cannot be kept is no loss but of time. */
export async function keepState(kept: string, folder: string, from: BochsDebugger): Promise<void> {
  if (await exists(kept)) return;
  const saved = join(folder, 'saved');
  await publish(kept, async (temporary) => {
    await mkdir(saved);
    // Bochs is another user than this process where this is root.
    const { uid, gid } = await stat(folder);
    await chown(saved, uid, gid);
    const output = await from.ask(`save-state ${saved}`);
    if (!/^state saved$/m.test(output))
      throw new WcvmmError('E_TESTBED', `Bochs did not keep its state: ${output.trim()}`);
    await rm(join(saved, jobImage));
    await mkdir(temporary);
    for (const { name } of (await readdir(saved, { withFileTypes: true })).filter((entry) => entry.isFile()))
      await copyFile(join(saved, name), join(temporary, name), constants.COPYFILE_FICLONE);
  }).catch(() => {});
  await rm(saved, { recursive: true, force: true });
  await sweepCache(states(), mostStates, openingTime).catch(() => {});
}

export async function dropState(kept: string): Promise<void> {
  await rm(kept, { recursive: true, force: true });
}
