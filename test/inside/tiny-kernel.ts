/** Kernels of a few instructions, in the files that a real one has: they say something, and end. */
import type { Arch } from '../../memattr/index.ts';

/** `code` is the architecture's own: bytes on x86, words on arm64. */
export type Deed =
  { readonly say: string } | { readonly code: readonly number[] } | 'echo' | 'power-off' | 'reset' | 'fault' | 'spin';

/** A file for the architecture that runs these one after the other. */
export function tinyKernel(arch: Arch, deeds: readonly Deed[]): Uint8Array {
  return arch === 'x86' ? tinyBzImage(deeds.flatMap(x86Code)) : tinyImage(deeds.flatMap(arm64Code));
}

function out(port: number, value: number): readonly number[] {
  return [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee];
}

function x86Code(deed: Deed): readonly number[] {
  switch (deed) {
    case 'power-off':
      return out(0x600, 0x34);
    case 'reset':
      return out(0x602, 1);
    case 'echo':
      return X86_ECHO;
    case 'fault':
      // Nothing has set an IDT up.
      return [0x0f, 0x0b];
    case 'spin':
      return [0xeb, 0xfe];
    default:
      if ('code' in deed) return deed.code;
      return [...Buffer.from(deed.say)].flatMap((byte) => out(0x3f8, byte));
  }
}

/** Until a newline: waits for a byte (LSR, bit 0), reads it and puts it out. */
const X86_ECHO = [
  [0x66, 0xba, 0xfd, 0x03], // mov dx, 0x3fd
  [0xec], // in al, dx
  [0xa8, 0x01], // test al, 1
  [0x74, 0xf7], // jz to the start
  [0x66, 0xba, 0xf8, 0x03], // mov dx, 0x3f8
  [0xec], // in al, dx
  [0xee], // out dx, al
  [0x3c, 0x0a], // cmp al, 10
  [0x75, 0xed], // jne to the start
].flat();

function tinyBzImage(code: readonly number[]): Uint8Array {
  const setup = 1024;
  const bytes = new Uint8Array(setup + 0x200 + code.length + 16);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint32(0x1f4, (0x200 + code.length) >> 4, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint8(0x201, 0x6a);
  bytes.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, 2 << 20, true);
  view.setUint16(0x236, 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 16n << 20n, true);
  view.setUint32(0x260, 1 << 20, true);
  bytes.set(code, setup + 0x200);
  return bytes;
}

const movz = (register: number, value: number): number => 0xd280_0000 | (value << 5) | register;
const movk16 = (register: number, value: number): number => 0xf2a0_0000 | (value << 5) | register;
const HVC = 0xd400_0002;
/** w1 to the address in x0. */
const STORE = 0xb900_0001;

function arm64Code(deed: Deed): readonly number[] {
  switch (deed) {
    case 'power-off':
      return [movz(0, 8), movk16(0, 0x8400), HVC];
    case 'reset':
      return [movz(0, 9), movk16(0, 0x8400), HVC];
    case 'echo':
      return ARM64_ECHO;
    case 'fault':
      return [0];
    case 'spin':
      return [0x1400_0000];
    default:
      if ('code' in deed) return deed.code;
      return [movz(0, 0), movk16(0, 0x900), ...[...Buffer.from(deed.say)].flatMap((byte) => [movz(1, byte), STORE])];
  }
}

/** The same: FR's bit 4 is set while there is nothing. */
const ARM64_ECHO = [
  movz(0, 0),
  movk16(0, 0x900),
  0xb940_1801, // ldr w1, [x0, #0x18]
  0x3727_ffe1, // tbnz w1, #4, one back
  0xb940_0001, // ldr w1, [x0]
  STORE,
  0x7100_283f, // cmp w1, #10
  0x54ff_ff61, // b.ne, five back
] as const;

function tinyImage(code: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(64 + code.length * 4);
  const view = new DataView(bytes.buffer);
  // A branch over the header.
  view.setUint32(0, 0x1400_0010, true);
  view.setBigUint64(16, BigInt(bytes.length), true);
  view.setUint32(56, 0x644d_5241, true);
  for (const [index, word] of code.entries()) view.setUint32(64 + index * 4, word >>> 0, true);
  return bytes;
}
