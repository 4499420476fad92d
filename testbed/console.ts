import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot, publish, sweepCache } from '../common/cache.ts';

/** True if the log shows that the kernel gave up. With panic=-1 and -no-reboot that ends the emulator at once. */
export function isPanic(log: string): boolean {
  return log.includes('Kernel panic - not syncing');
}

/** The last lines of a serial console, indented, without carriage returns and escape sequences. */
export function consoleTail(log: string, lines = 20): string {
  return (
    log
      .replaceAll('\r', '')
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/\u001B\[[0-9;?]*[A-Za-z]/g, '')
      .trimEnd()
      .split('\n')
      .slice(-lines)
      .filter((line) => line !== '')
      .map((line) => `    ${line}`)
      .join('\n')
  );
}

/** Keeps the log of a session that failed, and returns where. The youngest ten are kept. */
export async function keepConsole(log: string): Promise<string> {
  const folder = join(cacheRoot(), 'console');
  const path = join(folder, `${new Date().toISOString().replaceAll(':', '-')}-${process.pid}.log`);
  await publish(path, (temporary) => writeFile(temporary, log, 'latin1'));
  await sweepCache(folder, 10);
  return path;
}
