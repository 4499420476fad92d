/** arm64's `Image` (Documentation/arch/arm64/booting.rst): its header, and where it and what comes with it lie in RAM. */
import type { RamRange } from '../memory/ram.ts';
import { hex, refuseInitrd, refuseKernel } from './refuse.ts';
import { kernelKind } from './kernel-kind.ts';

export interface Arm64Image {
  /** Bytes from a 2 MiB boundary. */
  readonly textOffset: bigint;
  /** Bytes from there on that are the kernel's: the file, and what it clears. */
  readonly imageSize: bigint;
}

/** Guest-physical bytes. */
export interface Arm64Places {
  readonly kernel: bigint;
  readonly devicetree: bigint;
  /** Null without one. */
  readonly initrd: RamRange | null;
}

const HEADER = { size: 64, textOffset: 8, imageSize: 16, flags: 24, magic: 56 } as const;
const MAGIC = 0x644d_5241;
const FLAG_BIG_ENDIAN = 1n;

const MIB = 1n << 20n;
/** The kernel's own alignment, and the most that a devicetree may have, which may not cross such a boundary. */
const BLOCK = 2n * MIB;
/** Of any page that the kernel may have. */
const LARGEST_PAGE = 64n << 10n;
/** From the 1 GiB boundary below the kernel on, the whole initrd must lie within this much. */
const INITRD_WINDOW = 32n << 30n;
const GIB = 1n << 30n;

/** Every number in the file is untrusted. Throws E_GUEST_IMAGE. */
export function parseArm64Image(bytes: Uint8Array): Arm64Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER.size || view.getUint32(HEADER.magic, true) !== MAGIC) {
    const kind = kernelKind(bytes);
    refuseKernel(
      `it is ${kind ?? 'no kernel that is known'} and an arm64 Image is needed, not compressed (arch/arm64/boot/Image of a kernel's build).`,
    );
  }
  const textOffset = view.getBigUint64(HEADER.textOffset, true);
  const imageSize = view.getBigUint64(HEADER.imageSize, true);
  const flags = view.getBigUint64(HEADER.flags, true);
  if ((flags & FLAG_BIG_ENDIAN) !== 0n) refuseKernel('it is big-endian; expected a little-endian one.');
  if (imageSize === 0n) refuseKernel('its header does not say how large it is; expected Linux 3.17 or newer.');
  if (textOffset >= BLOCK) refuseKernel(`its text offset ${hex(textOffset)} is not below 2 MiB; is the file damaged?`);
  if (imageSize < BigInt(bytes.length)) {
    refuseKernel(`its header says ${imageSize} bytes and the file has ${bytes.length}; is the file damaged?`);
  }
  // The rest is what the kernel clears, and no kernel clears as much as it is long.
  if (imageSize > 2n * BigInt(bytes.length)) {
    refuseKernel(`it is truncated: its header says ${imageSize} bytes and the file has ${bytes.length}.`);
  }
  checkSections(view);
  return { textOffset, imageSize };
}

/** Offsets in the headers that make an Image an EFI program too, where it is one: they say where its parts lie in the file. */
const EFI = { peOffset: 0x3c, sectionCount: 6, optionalSize: 20, optional: 24 } as const;
const SECTION = { size: 40, rawSize: 16, rawAt: 20 } as const;
const PE_MAGIC = 0x4550;

function checkSections(view: DataView): void {
  const at = view.getUint32(EFI.peOffset, true);
  if (at === 0 || at + EFI.optional > view.byteLength || view.getUint32(at, true) !== PE_MAGIC) return;
  const first = at + EFI.optional + view.getUint16(at + EFI.optionalSize, true);
  const count = view.getUint16(at + EFI.sectionCount, true);
  for (let section = first; section < first + count * SECTION.size; section += SECTION.size) {
    const fits =
      section + SECTION.size <= view.byteLength &&
      view.getUint32(section + SECTION.rawAt, true) + view.getUint32(section + SECTION.rawSize, true) <=
        view.byteLength;
    if (!fits) refuseKernel(`it is truncated: the file has ${view.byteLength} bytes and ends before its last section.`);
  }
}

/**
 * The kernel at the start of RAM, then the devicetree, then the initrd.
 *
 * @param ram the first range of RAM; it starts at a 2 MiB boundary
 * @param devicetree bytes
 * @param initrd bytes, null without one
 * @throws WcvmmError E_GUEST_IMAGE where they do not fit
 */
export function placeArm64(
  ram: RamRange,
  { textOffset, imageSize }: Arm64Image,
  devicetree: number,
  initrd: number | null,
): Arm64Places {
  const kernel = ram.gpa + textOffset;
  const end = ram.gpa + ram.length;
  const devicetreeAt = roundUp(kernel + imageSize, BLOCK);
  const free = roundUp(devicetreeAt + BigInt(devicetree), LARGEST_PAGE);
  if (BigInt(devicetree) > BLOCK) throw new RangeError('a devicetree has at most 2 MiB');
  if (free > end) {
    refuseKernel(
      `it takes ${toMib(imageSize)} MiB of RAM and the guest has ${toMib(ram.length)} MiB there; give it more with --memory.`,
    );
  }
  if (initrd === null) return { kernel, devicetree: devicetreeAt, initrd: null };
  const length = BigInt(initrd);
  const window = kernel - (kernel % GIB) + INITRD_WINDOW;
  const most = (end < window ? end : window) - free;
  if (length > most) {
    refuseInitrd(
      `it has ${toMib(length)} MiB and beside the kernel ${most / MIB} MiB of the guest's RAM are left for it; give it more with --memory.`,
    );
  }
  return { kernel, devicetree: devicetreeAt, initrd: { gpa: free, length } };
}

function roundUp(value: bigint, to: bigint): bigint {
  return ((value + to - 1n) / to) * to;
}

/** Whole MiB, and what is begun counts. */
function toMib(bytes: bigint): bigint {
  return roundUp(bytes, MIB) / MIB;
}
