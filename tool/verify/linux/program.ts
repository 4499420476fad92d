/** What a Linux guest boots with: its kernel, and an initramfs with the program and its questions. */
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { packCpio } from '../../../common/cpio.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { projectRoot } from '../../../common/paths.ts';
import type { Arch } from '../../../memattr/index.ts';
import { LINUX_ARCHITECTURES } from '../../../vmm/machines/linux-arches.ts';
import type { LinuxKernel } from '../../../vmm/machines/linux-arch.ts';
import { QUESTIONS_PATH } from './abi.ts';

/** Where `make -C arm64-tests` or `make -C x86-tests` puts it. */
export function builtProgram(arch: Arch): string {
  return join(projectRoot, `${arch}-tests/build/linux-init.elf`);
}

/** Throws E_GUEST_IMAGE. */
export async function loadProgram(arch: Arch): Promise<Uint8Array> {
  return readFile(builtProgram(arch)).catch((cause: unknown) => {
    throw new WcvmmError(
      'E_GUEST_IMAGE',
      `the Linux guest's program ${builtProgram(arch)} cannot be read; "make -C ${arch}-tests" builds it.`,
      { cause },
    );
  });
}

/** The kernel at `path`, or the one that this machine runs. Throws E_GUEST_IMAGE. */
export async function loadKernel(arch: Arch, path?: string): Promise<LinuxKernel> {
  const file = path ?? `/boot/vmlinuz-${release()}`;
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new WcvmmError(
      'E_GUEST_IMAGE',
      path === undefined
        ? `this machine's own kernel ${file} cannot be read, to be the guest's too. Give one with --kernel FILE, or --kernel debian to fetch one.`
        : `--kernel ${file} cannot be read; expected an arm64 Image or an x86 bzImage.`,
      { cause },
    );
  });
  return LINUX_ARCHITECTURES[arch].parseKernel(bytes);
}

/** The kernel opens /dev/console for its first program, which writes to /dev/kmsg. */
export function packInitramfs(program: Uint8Array, questions: Uint8Array): Uint8Array {
  return Buffer.concat([
    ...packCpio([
      { kind: 'directory', path: 'dev', mode: 0o755 },
      { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
      { kind: 'character-device', path: 'dev/kmsg', mode: 0o600, major: 1, minor: 11 },
      { kind: 'file', path: QUESTIONS_PATH, mode: 0o644, data: questions },
      { kind: 'file', path: 'init', mode: 0o755, data: program },
    ]),
  ]);
}
