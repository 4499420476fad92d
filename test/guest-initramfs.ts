/** Initramfs of one program, and the testbed's own kernel. */
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

/** The testbed's kernel, and a program of test/inside as /init, in a folder of their own. */
export async function guestFiles(
  arch: keyof typeof CROSS_COMPILE,
  program: Parameters<typeof initramfs>[1] = 'guest-init',
): Promise<GuestFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-guest-'));
  const [kernel = ''] = await buildKernels({ arch, variants: ['patched'], outputDir: folder });
  const initrd = join(folder, 'initramfs.cpio');
  await writeFile(initrd, await initramfs(arch, program));
  return { kernel, initrd, remove: () => rm(folder, { recursive: true }) };
}

/** An archive with a program of test/inside as /init. */
export async function initramfs(
  arch: keyof typeof CROSS_COMPILE,
  program: 'guest-init' | 'guest-devices',
): Promise<Uint8Array> {
  const init = await compileC({
    compiler: `${CROSS_COMPILE[arch]}gcc`,
    source: join(projectRoot, `test/inside/${program}.c`),
    flags: ['-static'],
    signal: new AbortController().signal,
  });
  const entries = [
    { kind: 'directory', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'character-device', path: 'dev/kmsg', mode: 0o600, major: 1, minor: 11 },
    { kind: 'file', path: 'init', mode: 0o755, data: await readFile(init) },
  ] as const;
  return Buffer.concat([...packCpio(entries)]);
}
