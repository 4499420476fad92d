import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { packCpio, type CpioEntry } from '../../common/cpio.ts';
import type { Command } from '../share.ts';

/** Bytes. Part of a kept state, so that there are few sizes: this one, doubled until the job fits. */
const smallestDisk = 4 << 20;

/** The content of the disk by which an instance gets its command and inputs: an archive of the session's folder, read by testbed/rootfs/init-bochs. */
export async function packJob(share: string, command: Command): Promise<Uint8Array> {
  const entries: CpioEntry[] = [
    file('now', `${Math.floor(Date.now() / 1000)}\n`),
    file('seed', randomBytes(64)),
    file('command', await readFile(join(share, 'command'))),
    { kind: 'directory', path: 'work', mode: 0o755 },
  ];
  for (const name of await readdir(join(share, 'work')))
    entries.push(file(`work/${name}`, await readFile(join(share, 'work', name))));
  if (command.interactive) entries.push(file('interactive', ''));
  const preloaded = jobForPreloaded(command);
  if (preloaded !== null) entries.push(file('wcvmm', preloaded));
  const archive = Buffer.concat([...packCpio(entries)]);
  let size = smallestDisk;
  while (size < archive.length) size *= 2;
  return Buffer.concat([archive], size);
}

/** A wcvmm command line is for the process that has loaded wcvmm already (tool/cli/preload.ts); null for anything else. */
function jobForPreloaded({ args, env }: Command): string | null {
  const [program, ...rest] = args;
  return program === 'wcvmm' ? JSON.stringify({ args: rest, env }) : null;
}

function file(path: string, data: string | Uint8Array): CpioEntry {
  return { kind: 'file', path, mode: 0o755, data: typeof data === 'string' ? Buffer.from(data) : data };
}
