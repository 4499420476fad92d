import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../../common/cache.ts';
import type { Machine } from '../machine/machine.ts';
import { projectRoot } from '../../common/paths.ts';
import type { Progress } from '../../common/progress.ts';
import { compileC } from '../compile.ts';
import { appEntries, insideCommand } from './app.ts';
import { ensureBase } from './base.ts';
import { packCpio, type CpioEntry } from '../../common/cpio.ts';

const here = join(projectRoot, 'testbed/rootfs');

const mountPoints = ['bin', 'dev', 'proc', 'root', 'session', 'sys', 'tmp', 'usr'];

/**
 * The instance's root file system: an initramfs with busybox, the first process and the project's code, and the
 * disk with Node. Both are in the cache, by content. Returns their paths.
 *
 * @param code the folder with V8's code of the command line, if there is any
 */
export async function ensureRootfs(
  machine: Machine,
  code: string | null,
  progress: Progress,
  signal: AbortSignal,
): Promise<{ initramfs: string; disk: string }> {
  const base = await ensureBase(machine, progress, signal);
  const entries: CpioEntry[] = [
    ...mountPoints.map((path): CpioEntry => ({ kind: 'directory', path, mode: path === 'tmp' ? 0o1777 : 0o755 })),
    // What the kernel gives the first process as its standard streams.
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'symlink', path: 'lib', target: 'usr/lib' },
    // Where x86-64's programs look for their dynamic loader.
    { kind: 'symlink', path: 'lib64', target: 'usr/lib' },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, data: await readFile(base.busybox) },
    { kind: 'file', path: 'bin/wcvmm', mode: 0o755, data: Buffer.from(insideCommand) },
    { kind: 'file', path: 'init', mode: 0o755, data: await readFile(join(here, machine.init)) },
    { kind: 'file', path: 'mounts', mode: 0o644, data: await readFile(join(here, 'mounts')) },
    ...(await Promise.all(machine.helpers.map((name) => helper(machine, name, signal)))),
    ...(await appEntries(machine, code, progress, signal)),
  ];
  const archive = Buffer.concat([...packCpio(entries)]);
  const folder = join(cacheRoot(), 'rootfs', machine.userland.debianArch, 'initramfs');
  const initramfs = join(folder, `${contentKey(archive)}.cpio`);
  if (!(await inCache(initramfs))) {
    await publish(initramfs, (temporary) => writeFile(temporary, archive));
    await sweepCache(folder, 10);
  }
  return { initramfs, disk: base.disk };
}

/** A program for inside; static, so that it needs nothing of what the disk has. */
async function helper(machine: Machine, name: string, signal: AbortSignal): Promise<CpioEntry> {
  const compiler = `${machine.kernel.crossCompile}gcc`;
  const program = await compileC({ compiler, source: join(here, `${name}.c`), flags: ['-static', '-s'], signal });
  return { kind: 'file', path: `bin/${name}`, mode: 0o755, data: await readFile(program) };
}
