import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../../../common/paths.ts';
import type { GuestArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { parseElf } from '../../../vmm/boot/elf.ts';
import type { GuestImage } from '../../../vmm/boot/elf.ts';

/** Where `make -C arm64-tests` or `make -C x86-tests` puts the project's own guest. */
function builtGuest(arch: GuestArchitecture['name']): string {
  return join(projectRoot, `${arch}-tests/build/guest.elf`);
}

/** The guest image at `path`, or the project's own. Throws E_GUEST_IMAGE. */
export async function loadGuest(arch: GuestArchitecture['name'], path: string = builtGuest(arch)): Promise<GuestImage> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new WcvmmError(
      'E_GUEST_IMAGE',
      `the guest image ${path} cannot be read; expected an ELF executable. "make -C ${arch}-tests" builds the project's own.`,
      { cause: error },
    );
  }
  return parseElf(bytes, arch);
}
