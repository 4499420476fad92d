import { join } from 'node:path';
import { projectRoot } from '../../../common/paths.ts';
import type { Arch } from '../../../memattr/index.ts';
import { BARE_MAP } from '../../../vmm/machines/bare.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { readWholeFile } from '../../../common/files.ts';
import { parseElf } from '../../../vmm/boot/elf.ts';
import type { ElfImage } from '../../../vmm/boot/elf.ts';
import { ABI, SIZE_OF } from './abi.ts';

/** Where `make -C arm64-tests` or `make -C x86-tests` puts the project's own guest. */
function builtGuest(arch: Arch): string {
  return join(projectRoot, `${arch}-tests/build/guest.elf`);
}

/** The guest image at `path`, or the project's own. Throws E_GUEST_IMAGE. */
export async function loadGuest(arch: Arch, path: string = builtGuest(arch)): Promise<ElfImage> {
  let bytes: Uint8Array;
  try {
    bytes = await readWholeFile(path);
  } catch (error) {
    throw new WcvmmError(
      'E_GUEST_IMAGE',
      `the guest image ${path} cannot be read; expected an ELF executable. "make -C ${arch}-tests" builds the project's own.`,
      { cause: error },
    );
  }
  return parseGuest(bytes, arch);
}

/** A bare guest's image: RAM and what of it the guest ABI reserves are checked. @param ramLength bytes */
export function parseGuest(bytes: Uint8Array, arch: Arch, ramLength = BigInt(ABI.ramSize)): ElfImage {
  const reserved = {
    gpa: BARE_MAP.ramBase + BigInt(ABI.paramsOffset),
    length: BigInt(ABI.logOffset + SIZE_OF.log - ABI.paramsOffset),
    what: "where the VMM puts the guest's task and reads its log",
  };
  return parseElf(bytes, arch, { gpa: BARE_MAP.ramBase, length: ramLength }, [reserved]);
}
