/** What a file that somebody gives as a kernel is, by its first bytes: to say more than that it is not what is needed. */

const MAGICS: readonly { readonly at: number; readonly bytes: readonly number[]; readonly what: string }[] = [
  { at: 0x38, bytes: [0x41, 0x52, 0x4d, 0x64], what: 'an arm64 Image' },
  { at: 0x202, bytes: [0x48, 0x64, 0x72, 0x53], what: 'an x86 bzImage' },
  { at: 0x30, bytes: [0x52, 0x49, 0x53, 0x43, 0x56], what: 'a RISC-V Image' },
  { at: 4, bytes: [0x7a, 0x69, 0x6d, 0x67], what: 'an EFI image that unpacks its kernel (zboot)' },
  { at: 0, bytes: [0x7f, 0x45, 0x4c, 0x46], what: 'an ELF file, as vmlinux is' },
  { at: 0, bytes: [0x1f, 0x8b], what: 'compressed with gzip' },
  { at: 0, bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a], what: 'compressed with xz' },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], what: 'compressed with zstd' },
  { at: 0, bytes: [0x02, 0x21, 0x4c, 0x18], what: 'compressed with LZ4' },
];

/** "an arm64 Image", "compressed with gzip"; null where nothing is recognised. */
export function kernelKind(bytes: Uint8Array): string | null {
  const found = MAGICS.find((magic) => magic.bytes.every((byte, index) => bytes[magic.at + index] === byte));
  return found?.what ?? null;
}

export function isElf(bytes: Uint8Array): boolean {
  return [0x7f, 0x45, 0x4c, 0x46].every((byte, index) => bytes[index] === byte);
}
