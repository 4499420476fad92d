/**
 * The kernel that Debian has for cloud instances, and a small initramfs for it: `wcvmm run --kernel debian`. Fetched once, checked
 * by apt against the release's signed files, and kept in the cache; deleting it there has the next run fetch the newest one.
 */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot, contentKey, inCache, publish } from '../../common/cache.ts';
import { packCpio } from '../../common/cpio.ts';
import type { CpioEntry } from '../../common/cpio.ts';
import { WcvmmError } from '../../common/errors.ts';
import { withLock } from '../../common/lock.ts';
import { projectRoot } from '../../common/paths.ts';
import { runProgram } from '../../common/program.ts';
import type { Progress } from '../../common/progress.ts';
import { moduleName, modulesTable, parseModule } from './modules.ts';
import type { Module } from './modules.ts';

export interface DebianKernel {
  /** Paths in the cache. */
  readonly kernel: string;
  readonly initrd: string;
}

export interface DebianKernelRequest {
  readonly arch: 'arm64' | 'x86';
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Debian's name of the architecture. */
const DEBIAN_ARCH = { arm64: 'arm64', x86: 'amd64' } as const;

/**
 * Drivers of devices that clouds have and that are not built in, as far as the kernel has them; NVMe is built in. A virtio function has
 * one, and what is behind it another.
 */
const DRIVERS = 'nvme ena mlx5_core gve ixgbevf iavf igb igbvf e1000e virtio_pci virtio_net virtio_blk'.split(' ');

const INIT = 'testbed/rootfs/init-guest';

/** Throws E_GUEST_IMAGE where it can neither be found in the cache nor fetched. */
export async function ensureDebianKernel({ arch, progress, signal }: DebianKernelRequest): Promise<DebianKernel> {
  const debianArch = DEBIAN_ARCH[arch];
  const init = await readFile(join(projectRoot, INIT));
  const folder = join(cacheRoot(), 'debian-kernel', debianArch, contentKey(init, DRIVERS.join(' ')));
  const found = { kernel: join(folder, 'vmlinuz'), initrd: join(folder, 'initramfs.cpio') };
  if (await inCache(folder)) return found;
  await withLock(
    join(cacheRoot(), 'locks', `debian-kernel-${debianArch}`),
    async () => {
      if (await inCache(folder)) return;
      const scratch = await mkdtemp(join(tmpdir(), 'wcvmm-debian-'));
      try {
        await publish(folder, (into) => make({ debianArch, init, scratch, into, progress, signal }));
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },
    { signal, onWait: () => progress.phase("waiting for another wcvmm that is fetching Debian's kernel") },
  );
  return found;
}

interface Making {
  readonly debianArch: string;
  readonly init: Uint8Array;
  readonly scratch: string;
  readonly into: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function make({ debianArch, init, scratch, into, progress, signal }: Making): Promise<void> {
  const meta = `linux-image-cloud-${debianArch}`;
  progress.phase(`fetching Debian's ${meta}`);
  const apt = join(projectRoot, 'testbed/apt');
  const failure = (tail: string, cause: unknown): WcvmmError =>
    new WcvmmError(
      'E_GUEST_IMAGE',
      `Debian's kernel ${meta} could not be fetched, which takes a Debian machine that is online; --kernel FILE runs one that you have.\n${tail}`,
      { cause },
    );
  const names: string[] = [];
  await runProgram(apt, ['depends', 'release', debianArch, meta], {
    signal,
    failure,
    onLine: (line) => names.push(line),
  });
  const name = names.find((one) => /^linux-image-\d[\w.+-]*$/.test(one));
  if (name === undefined) throw failure(`${meta} depends on no kernel: ${names.join(' ')}`, undefined);
  await runProgram(apt, ['download', 'release', debianArch, scratch, name, 'busybox-static'], { signal, failure });
  const system = join(scratch, 'system');
  for (const archive of (await readdir(scratch)).filter((file) => file.endsWith('.deb')))
    await runProgram('dpkg-deb', ['-x', join(scratch, archive), system], { signal, failure });
  const version = name.replace(/^linux-image-/, '');
  await runProgram('mkdir', [into], { signal, failure });
  await runProgram('cp', [join(system, 'boot', `vmlinuz-${version}`), join(into, 'vmlinuz')], { signal, failure });
  const modules = await readModules(join(system, 'lib/modules', version), signal, failure);
  const busybox = await readFile(await busyboxIn(system));
  await writeFile(join(into, 'initramfs.cpio'), Buffer.concat([...packCpio(entries(init, busybox, modules))]));
}

/** Where it is depends on the release. */
async function busyboxIn(system: string): Promise<string> {
  const files = await readdir(system, { recursive: true });
  const file = files.find((one) => /(?:^|\/)bin\/busybox$/.test(one));
  if (file === undefined)
    throw new WcvmmError('E_GUEST_IMAGE', "Debian's busybox-static has no busybox; expected bin/busybox.");
  return join(system, file);
}

type ReadModule = Module & { readonly bytes: Uint8Array };

/** The drivers and what they need, uncompressed, by name. */
async function readModules(
  folder: string,
  signal: AbortSignal,
  failure: (tail: string, cause: unknown) => WcvmmError,
): Promise<ReadonlyMap<string, ReadModule>> {
  const files = await readdir(folder, { recursive: true });
  const byName = new Map(files.filter((file) => /\.ko(?:\.xz)?$/.test(file)).map((file) => [moduleName(file), file]));
  const modules = new Map<string, ReadModule>();
  const waiting = [...DRIVERS];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const file = byName.get(name);
    if (file === undefined || modules.has(name)) continue;
    const path = join(folder, file);
    if (path.endsWith('.xz')) await runProgram('xz', ['-dk', path], { signal, failure });
    const bytes = await readFile(path.replace(/\.xz$/, ''));
    const module = parseModule(file, bytes);
    modules.set(name, { ...module, bytes });
    waiting.push(...module.needs);
  }
  return modules;
}

function entries(
  init: Uint8Array,
  busybox: Uint8Array,
  modules: ReadonlyMap<string, ReadModule>,
): readonly CpioEntry[] {
  const table = modulesTable(DRIVERS, (name) => modules.get(name) ?? null);
  return [
    ...['bin', 'dev', 'proc', 'sys', 'modules'].map((path): CpioEntry => ({ kind: 'directory', path, mode: 0o755 })),
    // What the kernel gives the first process as its standard streams.
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, data: init },
    { kind: 'file', path: 'bin/busybox', mode: 0o755, data: busybox },
    { kind: 'file', path: 'modules/table', mode: 0o644, data: Buffer.from(table) },
    ...[...modules.values()].map(({ name, bytes }): CpioEntry => ({
      kind: 'file',
      path: `modules/${name}.ko`,
      mode: 0o644,
      data: bytes,
    })),
  ];
}
