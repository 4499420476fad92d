/** An SSH server for an emulated instance: Debian's dropbear with its libraries, and what carries connections to it. */
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { cacheRoot, contentKey, inCache, publish } from '../../common/cache.ts';
import { WcvmmError } from '../../common/errors.ts';
import { projectRoot } from '../../common/paths.ts';
import { runProgram } from '../../common/program.ts';
import { compileC } from '../../testbed/compile.ts';
import { machineOf } from '../../testbed/machine/index.ts';

const PACKAGES = ['dropbear-bin', 'libtomcrypt1', 'libtommath1', 'libgmp10', 'zlib1g', 'libcrypt1'];

function failure(what: string): (tail: string, cause: unknown) => WcvmmError {
  return (tail, cause) => new WcvmmError('E_TESTBED', `${what}.\n${tail}`, { cause });
}

/** An archive of /opt/ssh, from the cache. */
export async function sshServer(arch: string): Promise<string> {
  const { kernel, userland } = machineOf(arch);
  const signal = new AbortController().signal;
  const port = await compileC({
    compiler: `${kernel.crossCompile}gcc`,
    source: join(projectRoot, 'test/fleet/ssh-port.c'),
    flags: ['-static', '-s'],
    signal,
  });
  const archive = join(
    cacheRoot(),
    'compiled',
    `${contentKey('ssh', ...PACKAGES, basename(port))}-${userland.debianArch}`,
    'ssh.tar',
  );
  if (await inCache(archive)) return archive;
  const scratch = await mkdtemp(join(tmpdir(), 'wcvmm-ssh-'));
  try {
    const [debs, system, root] = ['debs', 'system', 'root'].map((name) => join(scratch, name));
    if (debs === undefined || system === undefined || root === undefined) throw new Error('no folder');
    const [bin, lib] = [join(root, 'opt/ssh/bin'), join(root, 'opt/ssh/lib')];
    for (const folder of [debs, bin, lib]) await mkdir(folder, { recursive: true });
    await runProgram(
      join(projectRoot, 'testbed/apt'),
      ['download', 'release', userland.debianArch, debs, ...PACKAGES],
      { failure: failure('dropbear could not be fetched') },
    );
    for (const deb of await readdir(debs))
      await runProgram('dpkg-deb', ['-x', join(debs, deb), system], {
        failure: failure(`${deb} could not be unpacked`),
      });
    for (const file of await readdir(system, { recursive: true, withFileTypes: true })) {
      const from = join(file.parentPath, file.name);
      if (/^dropbear(key)?$/.test(file.name) && file.isFile() && from.includes('bin/'))
        await copyFile(from, join(bin, file.name));
      if (/^lib.*\.so\.\d+$/.test(file.name)) await copyFile(from, join(lib, file.name));
    }
    await copyFile(port, join(bin, 'ssh-port'));
    await mkdir(join(archive, '..'), { recursive: true });
    await publish(archive, (temporary) =>
      runProgram('tar', ['-C', root, '-cf', temporary, 'opt'], { failure: failure('the archive could not be made') }),
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return archive;
}
