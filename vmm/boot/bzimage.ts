/** x86's `bzImage` (Documentation/arch/x86/boot.rst), entered by its 64-bit entry point: its setup header, and where it lies in RAM. */
import type { RamRange } from '../memory/ram.ts';
import { kernelKind } from './kernel-kind.ts';
import { hex, refuseInitrd, refuseKernel } from './refuse.ts';

export interface BzImage {
  /** What boot_params begins with, as the file has it: the setup header. */
  readonly header: Uint8Array;
  /** The protected-mode kernel, a view of the file. */
  readonly code: Uint8Array;
  /** Where it wants to be, its alignment elsewhere, and whether it may be there; bytes. */
  readonly preferred: bigint;
  readonly alignment: bigint;
  readonly isRelocatable: boolean;
  /** Bytes of RAM from its start that it uses before it looks at the memory map. */
  readonly initSize: bigint;
  /** The last byte that an initrd may have. */
  readonly initrdMost: bigint;
  /** Characters of the command line. */
  readonly commandLineMost: number;
}

/** Guest-physical bytes. */
export interface BzPlaces {
  readonly kernel: bigint;
  readonly initrd: RamRange | null;
}

/** Offsets in the file, as in struct boot_params. */
const AT = {
  setupSectors: 0x1f1,
  bootFlag: 0x1fe,
  jumpOffset: 0x201,
  magic: 0x202,
  version: 0x206,
  loadFlags: 0x211,
  initrdMost: 0x22c,
  alignment: 0x230,
  relocatable: 0x234,
  longFlags: 0x236,
  commandLineMost: 0x238,
  preferred: 0x258,
  initSize: 0x260,
  end: 0x264,
} as const;
export const SETUP_HEADER = AT.setupSectors;

const BOOT_FLAG = 0xaa55;
const MAGIC = 0x5372_6448;
/** 2.12, Linux 3.8: it says whether there is a 64-bit entry. */
const VERSION = 0x020c;
const LOADED_HIGH = 1;
const HAS_64_BIT_ENTRY = 1;
const SECTOR = 512;
/** Kernels that say 0 mean 4. */
const USUAL_SETUP_SECTORS = 4;

const MIB = 1n << 20n;
const PAGE = 4096n;

/** Bytes from the start of the protected-mode kernel. */
export const ENTRY_64 = 0x200n;

/** Every number in the file is untrusted. Throws E_GUEST_IMAGE. */
export function parseBzImage(bytes: Uint8Array): BzImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isBzImage =
    bytes.length >= AT.end &&
    view.getUint16(AT.bootFlag, true) === BOOT_FLAG &&
    view.getUint32(AT.magic, true) === MAGIC;
  if (!isBzImage) {
    refuseKernel(
      `it is ${kernelKind(bytes) ?? 'no kernel that is known'} and an x86 bzImage is needed (/boot/vmlinuz-*).`,
    );
  }
  if (view.getUint16(AT.version, true) < VERSION)
    refuseKernel('it is older than Linux 3.8; expected boot protocol 2.12.');
  if ((view.getUint16(AT.longFlags, true) & HAS_64_BIT_ENTRY) === 0) {
    refuseKernel('it is a 32-bit kernel; expected one for x86-64.');
  }
  if ((view.getUint8(AT.loadFlags) & LOADED_HIGH) === 0) refuseKernel('it is a zImage; expected a bzImage.');
  const setup = ((view.getUint8(AT.setupSectors) || USUAL_SETUP_SECTORS) + 1) * SECTOR;
  // The jump at 0x200 leads to the end of the header.
  const headerEnd = AT.magic + view.getUint8(AT.jumpOffset);
  if (headerEnd < AT.end || headerEnd > setup) refuseKernel('its setup header has no end; is the file damaged?');
  const [alignment, initSize] = [view.getUint32(AT.alignment, true), view.getUint32(AT.initSize, true)];
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    refuseKernel(`its alignment ${hex(alignment)} is no power of two; is the file damaged?`);
  }
  const code = bytes.subarray(Math.min(setup, bytes.length));
  const codeSize = codeBytes(view);
  if (code.length < codeSize) {
    refuseKernel(`it is truncated: its header says ${setup + codeSize} bytes and the file has ${bytes.length}.`);
  }
  if (initSize < code.length) refuseKernel('it says that it needs less RAM than it has bytes; is the file damaged?');
  return {
    header: bytes.subarray(AT.setupSectors, headerEnd),
    code,
    preferred: view.getBigUint64(AT.preferred, true),
    alignment: BigInt(alignment),
    isRelocatable: view.getUint8(AT.relocatable) !== 0,
    initSize: BigInt(initSize),
    initrdMost: BigInt(view.getUint32(AT.initrdMost, true)),
    commandLineMost: view.getUint32(AT.commandLineMost, true),
  };
}

/** syssize, in paragraphs of 16 bytes; at least the entry point must be there. */
function codeBytes(view: DataView): number {
  const paragraphs = view.getUint32(0x1f4, true);
  return Math.max(paragraphs * 16, Number(ENTRY_64) + 1);
}

/**
 * The kernel where it wants to be, or as low as it may; the initrd as high as it may.
 *
 * @param ram the range of RAM that starts at 0 @param initrd bytes, null without one
 * @throws WcvmmError E_GUEST_IMAGE where they do not fit
 */
export function placeBzImage(ram: RamRange, image: BzImage, initrd: number | null): BzPlaces {
  const end = ram.gpa + ram.length;
  const length = initrd === null ? 0n : BigInt(initrd);
  const limit = end < image.initrdMost + 1n ? end : image.initrdMost + 1n;
  const initrdAt = roundDown(limit - length, PAGE);
  const lowest = image.alignment > MIB ? image.alignment : MIB;
  const candidates = [image.preferred, ...(image.isRelocatable ? [lowest] : [])].filter(
    (at) => at >= MIB && at + image.initSize <= end,
  );
  if (candidates.length === 0) {
    refuseKernel(
      `it takes ${toMib(image.initSize)} MiB of RAM from ${toMib(image.isRelocatable ? lowest : image.preferred)} MiB on, and the guest has ${toMib(end)} MiB there; give it more with --memory.`,
    );
  }
  const beside = candidates.find((at) => initrd === null || at + image.initSize <= initrdAt);
  if (beside !== undefined) return { kernel: beside, initrd: initrd === null ? null : { gpa: initrdAt, length } };
  const most = limit - (candidates.at(-1) ?? 0n) - image.initSize;
  return refuseInitrd(
    `it has ${toMib(length)} MiB and beside the kernel ${most > 0n ? most / MIB : 0n} MiB of the guest's RAM are left for it; give it more with --memory.`,
  );
}

function roundDown(value: bigint, to: bigint): bigint {
  return value - (((value % to) + to) % to);
}

function toMib(bytes: bigint): bigint {
  return (bytes + MIB - 1n) / MIB;
}
