/** What the kernel of an x86 guest finds in RAM at its 64-bit entry: boot_params, its command line, a GDT and page tables. */
import { WcvmmError } from '../../common/errors.ts';
import type { RamRange } from '../memory/ram.ts';
import { SETUP_HEADER } from './bzimage.ts';
import type { BzImage, BzPlaces } from './bzimage.ts';

/**
 * Guest-physical, below 1 MiB:
 *
 *   0x00500  GDT
 *   0x07000  boot_params
 *   0x09000  page tables: 1 GiB blocks are not every CPU's, so 4 GiB take 6 pages
 *   0x20000  command line
 *   0x9fc00  ACPI's tables, up to 1 MiB: no RAM for the kernel
 */
export const BOOT_MAP = {
  gdt: 0x500n,
  bootParams: 0x7000n,
  pageTables: 0x9000n,
  commandLine: 0x2_0000n,
  /** And the end of conventional memory. */
  acpi: 0x9_fc00n,
  highMemory: 0x10_0000n,
} as const;

export const E820 = { ram: 1, reserved: 2, acpi: 3 } as const;

export interface E820Entry extends RamRange {
  readonly type: (typeof E820)[keyof typeof E820];
}

/** Offsets in struct boot_params. */
const PARAMS = {
  size: 4096,
  rsdp: 0x070,
  e820Count: 0x1e8,
  loaderType: 0x210,
  ramdiskAt: 0x218,
  ramdiskSize: 0x21c,
  commandLine: 0x228,
  e820: 0x2d0,
} as const;
const E820_ENTRY = 20;
const E820_MOST = 128;
/** A loader that has no number of its own. */
const OTHER_LOADER = 0xff;

export interface BootParams {
  readonly image: BzImage;
  readonly places: BzPlaces;
  readonly e820: readonly E820Entry[];
  readonly rsdp: bigint;
}

/** struct boot_params: the file's setup header, and what a loader adds. */
export function bootParams({ image, places: { initrd }, e820, rsdp }: BootParams): Uint8Array {
  if (e820.length > E820_MOST) throw new RangeError(`${e820.length} entries of e820; boot_params has ${E820_MOST}`);
  const bytes = new Uint8Array(PARAMS.size);
  const view = new DataView(bytes.buffer);
  bytes.set(image.header, SETUP_HEADER);
  view.setUint8(PARAMS.loaderType, OTHER_LOADER);
  view.setUint32(PARAMS.commandLine, Number(BOOT_MAP.commandLine), true);
  view.setUint32(PARAMS.ramdiskAt, Number(initrd?.gpa ?? 0n), true);
  view.setUint32(PARAMS.ramdiskSize, Number(initrd?.length ?? 0n), true);
  view.setBigUint64(PARAMS.rsdp, rsdp, true);
  view.setUint8(PARAMS.e820Count, e820.length);
  for (const [index, { gpa, length, type }] of e820.entries()) {
    const at = PARAMS.e820 + index * E820_ENTRY;
    view.setBigUint64(at, gpa, true);
    view.setBigUint64(at + 8, length, true);
    view.setUint32(at + 16, type, true);
  }
  return bytes;
}

/** With its NUL. Throws E_USAGE for one that is longer than `most` characters of the kernel's, or holds a NUL. */
export function commandLineBytes(text: string, most: number): Uint8Array {
  const bytes = Buffer.from(text);
  if (bytes.length > most || bytes.includes(0)) {
    throw new WcvmmError(
      'E_USAGE',
      `the kernel's command line has ${bytes.length} bytes; expected at most ${most}, and no NUL. Give less with --append.`,
    );
  }
  return Buffer.concat([bytes, new Uint8Array(1)]);
}

/** Selectors that Linux' 64-bit entry asks for (boot.rst: __BOOT_CS, __BOOT_DS). */
export const BOOT_SELECTOR = { code: 0x10, data: 0x18 } as const;

/** Two empty descriptors, then flat 64-bit code and flat data. */
export function gdt(): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(BOOT_SELECTOR.code, 0x00af_9b00_0000_ffffn, true);
  view.setBigUint64(BOOT_SELECTOR.data, 0x00cf_9300_0000_ffffn, true);
  return bytes;
}

const PAGE = 4096;
const ENTRIES = 512;
const GIBS = 4;
const PRESENT_WRITABLE = 0x3n;
const BLOCK = 0x80n;
const BLOCK_BYTES = 2n << 20n;

/** The lowest 4 GiB at their own addresses, in blocks of 2 MiB: where they are to be, CR3 points. */
export function identityPageTables(at: bigint = BOOT_MAP.pageTables): Uint8Array {
  const bytes = new Uint8Array((2 + GIBS) * PAGE);
  const entries = new BigUint64Array(bytes.buffer);
  const page = (index: number): bigint => at + BigInt(index * PAGE);
  entries[0] = page(1) | PRESENT_WRITABLE;
  for (let gib = 0; gib < GIBS; gib += 1) entries[ENTRIES + gib] = page(2 + gib) | PRESENT_WRITABLE;
  for (let block = 0; block < GIBS * ENTRIES; block += 1) {
    entries[2 * ENTRIES + block] = (BigInt(block) * BLOCK_BYTES) | PRESENT_WRITABLE | BLOCK;
  }
  return bytes;
}
