/** Tiny guests for both architectures, as bytes: with them the VMM is seen to work without the guests of the tool. */
import { BARE_MAP } from '../../vmm/machines/bare.ts';

/** Words in RAM that guests and the test use. */
export const FLAG = 0x800;
export const COUNTER = 0x804;

const RAM = Number(BARE_MAP.ramBase);
const PUTCHAR = Number(BARE_MAP.doorbell);
const EXIT = PUTCHAR + 8;

function le32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}

export interface Guests {
  /** Prints the low byte of its argument, sets the flag, and spins for ever. */
  readonly printAndSpin: Uint8Array;
  /** Waits for the flag, prints its argument, and exits with status 7. */
  readonly waitPrintExit: Uint8Array;
  /** Counts until the flag is set, and exits with status 0. */
  readonly count: Uint8Array;
  /** Loads a byte at the address that is its argument, prints it, and exits with status 0. */
  readonly loadAndPrint: Uint8Array;
  /** Prints its argument for ever. */
  readonly flood: Uint8Array;
}

/** 32-bit protected mode; the argument is in ebx. */
const x86: Guests = {
  printAndSpin: bytes(
    [0x89, 0xd8], // mov eax, ebx
    [0xa3, ...le32(PUTCHAR)], // mov [PUTCHAR], eax
    [0xc7, 0x05, ...le32(RAM + FLAG), ...le32(1)], // mov dword [FLAG], 1
    [0xeb, 0xfe], // jmp .
  ),
  waitPrintExit: bytes(
    [0x83, 0x3d, ...le32(RAM + FLAG), 0], // cmp dword [FLAG], 0
    [0x74, 0xf7], // je back
    [0x89, 0xd8],
    [0xa3, ...le32(PUTCHAR)],
    [0xc7, 0x05, ...le32(EXIT), ...le32(7)],
  ),
  count: bytes(
    [0xff, 0x05, ...le32(RAM + COUNTER)], // inc dword [COUNTER]
    [0x83, 0x3d, ...le32(RAM + FLAG), 0],
    [0x74, 0xf1],
    [0xc7, 0x05, ...le32(EXIT), ...le32(0)],
  ),
  loadAndPrint: bytes(
    [0x0f, 0xb6, 0x03], // movzx eax, byte [ebx]
    [0xa3, ...le32(PUTCHAR)],
    [0xc7, 0x05, ...le32(EXIT), ...le32(0)],
  ),
  flood: bytes([0x89, 0xd8], [0xa3, ...le32(PUTCHAR)], [0xeb, 0xf9]),
};

/** EL1, MMU off; the argument is in x0. */
const arm64: Guests = {
  printAndSpin: words(
    0xd2a12001, // movz x1, #0x0900, lsl #16 (PUTCHAR)
    0xb9000020, // str w0, [x1]
    0xd2a80002, // movz x2, #0x4000, lsl #16 (RAM)
    0x52800023, // mov w3, #1
    0xb9080043, // str w3, [x2, #FLAG]
    0x14000000, // b .
  ),
  waitPrintExit: words(
    0xd2a80002,
    0xb9480043, // ldr w3, [x2, #FLAG]
    0x34ffffe3, // cbz w3, back
    0xd2a12001,
    0xb9000020,
    0x528000e3, // mov w3, #7
    0xb9000823, // str w3, [x1, #8]
  ),
  count: words(
    0xd2a80002,
    0xb9480444, // ldr w4, [x2, #COUNTER]
    0x11000484, // add w4, w4, #1
    0xb9080444, // str w4, [x2, #COUNTER]
    0xb9480043,
    0x34ffff83, // cbz w3, back to the load of the counter
    0xd2a12001,
    0xb900083f, // str wzr, [x1, #8]
  ),
  loadAndPrint: words(
    0x39400003, // ldrb w3, [x0]
    0xd2a12001,
    0xb9000023, // str w3, [x1]
    0xb900083f,
  ),
  flood: words(0xd2a12001, 0xb9000020, 0x17ffffff),
};

export const GUESTS: Guests = process.arch === 'arm64' ? arm64 : x86;

function bytes(...parts: readonly number[][]): Uint8Array {
  return Uint8Array.from(parts.flat());
}

function words(...values: readonly number[]): Uint8Array {
  return bytes(...values.map(le32));
}
