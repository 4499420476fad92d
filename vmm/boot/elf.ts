import type { Arch } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';

/** One loadable part of an image. Addresses are guest physical. */
export interface Segment {
  address: bigint;
  /** A view of the image, not a copy; the `memorySize - data.length` bytes after it are zero. */
  data: Uint8Array;
  memorySize: bigint;
}

export interface ElfImage {
  entry: bigint;
  segments: readonly Segment[];
}

const ELF = {
  magic: 0x7f45_4c46,
  class64: 2,
  littleEndian: 1,
  executable: 2,
  headerSize: 64,
  segmentSize: 56,
  maxSegments: 64,
  load: 1,
  interpreter: 3,
} as const;

const MACHINE: Readonly<Record<Arch, { number: number; name: string }>> = {
  arm64: { number: 183, name: 'AArch64' },
  x86: { number: 62, name: 'x86-64' },
};

/** Guest RAM that an image may not cover, and what it is for. */
export interface Reserved extends RamRange {
  readonly what: string;
}

/**
 * A bare guest's ELF image: 64-bit, little-endian, statically linked at the addresses where it will run, inside
 * of guest RAM. Only program headers are read; sections may be stripped. Every number in the file is untrusted.
 *
 * @throws WcvmmError E_GUEST_IMAGE
 */
export function parseElf(bytes: Uint8Array, arch: Arch, ram: RamRange, reserved: readonly Reserved[] = []): ElfImage {
  if (bytes.length < ELF.headerSize) refuse(`it has ${bytes.length} bytes, fewer than an ELF header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkHeader(view, arch);
  const segments: Segment[] = [];
  for (const at of segmentHeaders(view)) {
    const type = view.getUint32(at, true);
    if (type === ELF.interpreter) refuse('it is linked against shared libraries; link it with -static -nostdlib');
    if (type !== ELF.load) continue;
    const segment = readSegment(bytes, view, at);
    if (segment.memorySize > 0n) segments.push(segment);
  }
  if (segments.length === 0) refuse('it has no loadable segment');
  segments.sort((a, b) => (a.address < b.address ? -1 : Number(a.address > b.address)));
  checkPlaces(segments, ram, reserved);
  const entry = view.getBigUint64(24, true);
  if (!segments.some(({ address, data }) => entry >= address && entry < address + BigInt(data.length))) {
    refuse(`its entry point ${hex(entry)} is in none of its segments`);
  }
  return { entry, segments };
}

function checkHeader(view: DataView, arch: Arch): void {
  if (view.getUint32(0) !== ELF.magic) refuse('it is not an ELF file');
  if (view.getUint8(4) !== ELF.class64) refuse('it is a 32-bit ELF file and a 64-bit one is needed');
  if (view.getUint8(5) !== ELF.littleEndian) refuse('it is big-endian and a little-endian one is needed');
  const { number, name } = MACHINE[arch];
  const found = view.getUint16(18, true);
  if (found !== number) refuse(`it is built for ${machineName(found)} and this machine is ${name}`);
  if (view.getUint16(16, true) !== ELF.executable)
    refuse('it is an object, a library or position-independent; link it as an executable with fixed addresses');
}

function machineName(number: number): string {
  const known = Object.values(MACHINE).find((machine) => machine.number === number);
  return known?.name ?? `ELF machine ${number}`;
}

/** Offsets of the program headers, all of them whole. */
function segmentHeaders(view: DataView): number[] {
  const start = view.getBigUint64(32, true);
  const size = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (size !== ELF.segmentSize) refuse(`its program headers have ${size} bytes each, not ${ELF.segmentSize}`);
  if (count > ELF.maxSegments) refuse(`it has ${count} program headers, more than ${ELF.maxSegments}`);
  if (start + BigInt(size * count) > BigInt(view.byteLength))
    refuse('it is truncated: its program headers lie behind its end');
  return Array.from({ length: count }, (_, index) => Number(start) + index * size);
}

function readSegment(bytes: Uint8Array, view: DataView, at: number): Segment {
  const offset = view.getBigUint64(at + 8, true);
  const address = view.getBigUint64(at + 24, true);
  const fileSize = view.getBigUint64(at + 32, true);
  const memorySize = view.getBigUint64(at + 40, true);
  if (fileSize > memorySize) refuse(`its segment at ${hex(address)} has more bytes in the file than in memory`);
  if (offset + fileSize > BigInt(bytes.length))
    refuse(`it is truncated: its segment at ${hex(address)} lies behind its end`);
  return { address, data: bytes.subarray(Number(offset), Number(offset + fileSize)), memorySize };
}

function checkPlaces(segments: readonly Segment[], ram: RamRange, reserved: readonly Reserved[]): void {
  for (const [index, { address, memorySize }] of segments.entries()) {
    const end = address + memorySize;
    const where = `its segment ${hex(address)}-${hex(end - 1n)}`;
    if (address < ram.gpa || end > ram.gpa + ram.length) refuse(`${where} is outside of guest RAM, ${range(ram)}`);
    for (const kept of reserved) {
      if (address < kept.gpa + kept.length && end > kept.gpa) refuse(`${where} covers ${range(kept)}, ${kept.what}`);
    }
    const next = segments[index + 1];
    if (next && next.address < end) refuse(`${where} overlaps the one at ${hex(next.address)}`);
  }
}

/** Copies the segments of an image to RAM, which `parseElf` has checked that they lie in. */
export function loadImage(ram: GuestRam, { segments }: ElfImage): void {
  for (const { address, data } of segments) ram.write(address, data);
}

function range({ gpa, length }: RamRange): string {
  return `${hex(gpa)}-${hex(gpa + length - 1n)}`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function refuse(what: string): never {
  throw new WcvmmError('E_GUEST_IMAGE', `the guest image cannot be used: ${what}`);
}
