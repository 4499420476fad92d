/** Sizes as people write them, to bytes and back. All units are binary: nobody sizes a BAR in powers of ten. */

const SHIFT: Readonly<Record<string, bigint>> = { '': 0n, k: 10n, m: 20n, g: 30n, t: 40n };
const UNITS = [
  ['T', 40n],
  ['G', 30n],
  ['M', 20n],
  ['K', 10n],
] as const;

/** One past the largest address or length that the kernel's 64-bit fields can carry. */
export const SIZE_LIMIT = 1n << 64n;

/**
 * Bytes that `text` means: `4096`, `0x1000`, `64K`, `64KiB`, `1m`, `2G`, `1T`; null when it is none of these
 * or does not fit in 64 bits. `KB` is not accepted: half of its readers would expect 1000.
 */
export function parseSize(text: string): bigint | null {
  const hex = /^0x[0-9a-f]{1,16}$/i.exec(text);
  if (hex) return BigInt(text);
  const decimal = /^(\d{1,20})(?:([kmgt])(?:ib)?)?$/i.exec(text);
  if (!decimal) return null;
  const [, digits = '', unit = ''] = decimal;
  const bytes = BigInt(digits) << (SHIFT[unit.toLowerCase()] ?? 0n);
  return bytes < SIZE_LIMIT ? bytes : null;
}

/** The shortest form that `parseSize` reads back as the same number: `64K`, `8G`, `0`, else hexadecimal. */
export function formatSize(bytes: bigint): string {
  if (bytes < 1024n) return bytes.toString();
  for (const [unit, shift] of UNITS) {
    if (bytes >> shift > 0n && bytes % (1n << shift) === 0n) return `${bytes >> shift}${unit}`;
  }
  return `0x${bytes.toString(16)}`;
}
