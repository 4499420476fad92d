/** An initramfs whose only program is test/inside/guest-init.c, and the testbed's own kernel. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../common/paths.ts';
import { compileC } from '../testbed/compile.ts';
import { buildKernels } from '../testbed/index.ts';
import { packCpio } from '../common/cpio.ts';

const CROSS_COMPILE = { arm64: 'aarch64-linux-gnu-', x86: 'x86_64-linux-gnu-' } as const;

export interface GuestFiles {
  readonly kernel: string;
  readonly initrd: string;
  remove(): Promise<void>;
}

/** Both in a folder of their own. */
export async function guestFiles(arch: keyof typeof CROSS_COMPILE): Promise<GuestFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-guest-'));
  const [kernel = ''] = await buildKernels({ arch, variants: ['patched'], outputDir: folder });
  const init = await compileC({
    compiler: `${CROSS_COMPILE[arch]}gcc`,
    source: join(projectRoot, 'test/inside/guest-init.c'),
    flags: ['-static'],
    signal: new AbortController().signal,
  });
  const initrd = join(folder, 'initramfs.cpio');
  const entries = [
    { kind: 'directory', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'character-device', path: 'dev/kmsg', mode: 0o600, major: 1, minor: 11 },
    { kind: 'file', path: 'init', mode: 0o755, data: await readFile(init) },
  ] as const;
  await writeFile(initrd, Buffer.concat([...packCpio(entries)]));
  return { kernel, initrd, remove: () => rm(folder, { recursive: true }) };
}
