import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseArm64Image, placeArm64 } from '../vmm/boot/arm64-image.ts';
import { bootParams, commandLineBytes, identityPageTables } from '../vmm/boot/boot-params.ts';
import { parseBzImage, placeBzImage } from '../vmm/boot/bzimage.ts';
import { WcvmmError } from '../common/errors.ts';

const MIB = 1n << 20n;
const GIB = 1n << 30n;

interface Arm64Header {
  readonly textOffset?: bigint;
  readonly imageSize?: bigint;
  readonly flags?: bigint;
  readonly length?: number;
}

function arm64Image({
  textOffset = 0n,
  imageSize = 5n * MIB,
  flags = 0xan,
  length = 4 << 20,
}: Arm64Header = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, textOffset, true);
  view.setBigUint64(16, imageSize, true);
  view.setBigUint64(24, flags, true);
  bytes.set(Buffer.from('ARM\x64'), 56);
  return bytes;
}

/** As Debian's kernels are: an EFI program too, with one section that ends at `sectionEnd`. */
function efiImage(sectionEnd: number): Uint8Array {
  const bytes = arm64Image();
  const view = new DataView(bytes.buffer);
  view.setUint32(0x3c, 0x40, true);
  view.setUint32(0x40, 0x4550, true);
  view.setUint16(0x46, 1, true);
  view.setUint16(0x54, 0xa0, true);
  const section = 0x40 + 24 + 0xa0;
  view.setUint32(section + 16, sectionEnd - 0x10000, true);
  view.setUint32(section + 20, 0x10000, true);
  return bytes;
}

interface BzHeader {
  readonly bootFlag?: number;
  readonly version?: number;
  readonly longFlags?: number;
  readonly relocatable?: number;
  readonly initSize?: number;
  readonly alignment?: number;
  readonly codeBytes?: number;
  readonly length?: number;
}

function bzImage({
  bootFlag = 0xaa55,
  version = 0x20f,
  longFlags = 1,
  relocatable = 1,
  initSize = 20 << 20,
  alignment = 2 << 20,
  codeBytes = 1 << 20,
  length = 2048 + (1 << 20),
}: BzHeader = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 3);
  view.setUint32(0x1f4, codeBytes / 16, true);
  view.setUint16(0x1fe, bootFlag, true);
  view.setUint8(0x201, 0x6a);
  bytes.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, version, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, alignment, true);
  view.setUint8(0x234, relocatable);
  view.setUint16(0x236, longFlags, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 16n * MIB, true);
  view.setUint32(0x260, initSize, true);
  return bytes;
}

const gzip = Uint8Array.from({ length: 4096 }, (_, index) => [0x1f, 0x8b, 8][index] ?? 0);

describe('arm64 Image', () => {
  test('its header', () => {
    expect(parseArm64Image(arm64Image({ textOffset: 0x80000n }))).toEqual({
      textOffset: 0x80000n,
      imageSize: 5n * MIB,
    });
    expect(parseArm64Image(efiImage(4 << 20)).imageSize).toBe(5n * MIB);
  });

  test.each([
    ['x86', bzImage(), /it is an x86 bzImage and an arm64 Image is needed/],
    ['gzip', gzip, /compressed with gzip/],
    ['empty', new Uint8Array(), /no kernel that is known/],
    ['big-endian', arm64Image({ flags: 1n }), /big-endian/],
    ['old', arm64Image({ imageSize: 0n }), /Linux 3.17/],
    ['more in the file than in memory', arm64Image({ imageSize: MIB }), /damaged/],
    ['offset', arm64Image({ textOffset: 2n * MIB }), /text offset/],
    ['truncated', arm64Image({ imageSize: 9n * MIB }), /truncated/],
    ['truncated, as its sections say', efiImage((4 << 20) + 1), /truncated/],
    ['a section that wraps', efiImage(0x1_0000_0000 - 1), /truncated/],
  ] as const)('%s is refused with a sentence', (_what, bytes, sentence) => {
    expect(() => parseArm64Image(bytes)).toThrow(WcvmmError);
    expect(() => parseArm64Image(bytes)).toThrow(sentence);
  });

  test('kernel, devicetree and initrd lie one behind the other in RAM, aligned, whatever their sizes', () => {
    const sizes = fc.record({
      ram: fc.nat(200),
      kernel: fc.nat(100),
      tree: fc.nat(2 << 20),
      initrd: fc.option(fc.nat(200 << 20)),
    });
    fc.assert(
      fc.property(sizes, (all) => {
        expect(isPlacedWell(all)).toBe(true);
      }),
    );
  });

  test('an initrd that is larger than RAM is refused with a sentence', () => {
    expect(() =>
      placeArm64({ gpa: GIB, length: 64n * MIB }, { textOffset: 0n, imageSize: 8n * MIB }, 4096, 60 << 20),
    ).toThrow(/the initrd cannot be used: it has 60 MiB and beside the kernel 55 MiB .*--memory/);
  });
});

describe('x86 bzImage', () => {
  test('its header', () => {
    const image = parseBzImage(bzImage());
    expect(image).toMatchObject({
      preferred: 16n * MIB,
      initSize: 20n * MIB,
      isRelocatable: true,
      commandLineMost: 2047,
    });
    expect([image.header.length, image.code.length]).toEqual([0x26c - 0x1f1, 1 << 20]);
  });

  test.each([
    ['arm64', arm64Image(), /it is an arm64 Image and an x86 bzImage is needed/],
    ['gzip', gzip, /compressed with gzip/],
    ['empty', new Uint8Array(), /no kernel that is known/],
    ['no boot flag', bzImage({ bootFlag: 0 }), /x86 bzImage/],
    ['old', bzImage({ version: 0x20b }), /Linux 3.8/],
    ['32-bit', bzImage({ longFlags: 0 }), /32-bit/],
    ['truncated', bzImage({ codeBytes: (1 << 20) + 16 }), /truncated/],
    ['only a header', bzImage({ length: 0x268 }), /truncated/],
    ['less memory than bytes', bzImage({ initSize: 1 << 19 }), /less RAM/],
    ['alignment', bzImage({ alignment: 3 }), /power of two/],
  ] as const)('%s is refused with a sentence', (_what, bytes, sentence) => {
    expect(() => parseBzImage(bytes)).toThrow(WcvmmError);
    expect(() => parseBzImage(bytes)).toThrow(sentence);
  });

  const low = { gpa: 0n, length: 64n * MIB };

  test('it lies where it prefers, and the initrd as high as the kernel allows', () => {
    expect(placeBzImage(low, parseBzImage(bzImage()), 5000)).toEqual({
      kernel: 16n * MIB,
      initrd: { gpa: 64n * MIB - 8192n, length: 5000n },
    });
    expect(placeBzImage({ gpa: 0n, length: 3n * GIB }, parseBzImage(bzImage()), 4096).initrd?.gpa).toBe(
      2n * GIB - 4096n,
    );
  });

  test('a relocatable one makes room below where it prefers to be', () => {
    expect(placeBzImage(low, parseBzImage(bzImage()), 40 << 20).kernel).toBe(2n * MIB);
    expect(() => placeBzImage(low, parseBzImage(bzImage({ relocatable: 0 })), 40 << 20)).toThrow(
      /the initrd cannot be used: it has 40 MiB and beside the kernel 28 MiB/,
    );
  });

  test('an initrd or a kernel that is larger than RAM is refused with a sentence', () => {
    expect(() => placeBzImage(low, parseBzImage(bzImage()), 600 << 20)).toThrow(
      /it has 600 MiB and beside the kernel 42 MiB/,
    );
    expect(() => placeBzImage(low, parseBzImage(bzImage({ initSize: 64 << 20 })), null)).toThrow(
      /it takes 64 MiB of RAM from 2 MiB on, and the guest has 64 MiB there/,
    );
  });

  test('boot_params: the header of the file, and what is added', () => {
    const image = parseBzImage(bzImage());
    const places = placeBzImage(low, image, 5000);
    const params = bootParams({ image, places, e820: [{ gpa: 0n, length: 0x9fc00n, type: 1 }], rsdp: 0xe0000n });
    const view = new DataView(params.buffer);
    expect(Buffer.from(params.subarray(0x202, 0x206)).toString()).toBe('HdrS');
    expect([view.getUint32(0x218, true), view.getUint32(0x21c, true)]).toEqual([64 * 2 ** 20 - 8192, 5000]);
    expect([view.getUint8(0x1e8), view.getBigUint64(0x2d8, true), view.getUint32(0x2e0, true)]).toEqual([
      1,
      0x9fc00n,
      1,
    ]);
    expect(view.getBigUint64(0x70, true)).toBe(0xe0000n);
  });

  test('page tables lead each of 4 GiB to itself', () => {
    const tables = new BigUint64Array(identityPageTables(0x9000n).buffer);
    const entry = (at: bigint, index: bigint): bigint => tables[Number((at - 0x9000n) / 8n + index)] ?? 0n;
    for (const virtual of [0n, 0x1234_5678n, 0xfee0_0000n]) {
      const second = tableAt(entry(0x9000n, virtual >> 39n));
      const third = tableAt(entry(second, (virtual >> 30n) & 511n));
      const block = entry(third, (virtual >> 21n) & 511n);
      expect([block & 0x83n, tableAt(block)]).toEqual([0x83n, virtual & ~0x1f_ffffn]);
    }
  });

  test('a command line that the kernel would cut is refused', () => {
    expect([...commandLineBytes('ro', 2)]).toEqual([0x72, 0x6f, 0]);
    expect(() => commandLineBytes('rw!', 2)).toThrow(/has 3 bytes; expected at most 2/);
    expect(() => commandLineBytes('a\0b', 10)).toThrow(/no NUL/);
  });
});

interface Sizes {
  /** MiB. */
  readonly ram: number;
  readonly kernel: number;
  /** Bytes. */
  readonly tree: number;
  readonly initrd: number | null;
}

function isPlacedWell({ ram, kernel, tree, initrd }: Sizes): boolean {
  const range = { gpa: GIB, length: BigInt(ram + 1) * MIB };
  const imageSize = BigInt(kernel + 1) * MIB;
  const places = orRefusal(() => placeArm64(range, { textOffset: 0n, imageSize }, tree, initrd));
  const needed = imageSize + BigInt(tree) + BigInt(initrd ?? 0);
  // Alignment may cost one block for the devicetree and one page for the initrd.
  if (places === null) return needed + 3n * MIB > range.length;
  const { devicetree } = places;
  const treeEnd = devicetree + BigInt(tree);
  const initrdAt = places.initrd?.gpa ?? treeEnd;
  return (
    places.kernel === GIB &&
    devicetree % (2n * MIB) === 0n &&
    devicetree >= GIB + imageSize &&
    initrdAt >= treeEnd &&
    (places.initrd === null || initrdAt % 65536n === 0n) &&
    initrdAt + BigInt(initrd ?? 0) <= range.gpa + range.length
  );
}

/** A page-table entry's address. */
function tableAt(entry: bigint): bigint {
  return entry & ~0xfffn;
}

function corrupted(image: Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc.array(fc.tuple(fc.nat(0x300), fc.nat(255)), { maxLength: 20 }).map((changes) => {
    const copy = image.slice(0, 4096);
    for (const [at, value] of changes) copy[at] = value;
    return copy;
  });
}

test('no bytes make a parser fail in any other way than its own', () => {
  const inputs = fc.oneof(
    fc.uint8Array({ maxLength: 700 }),
    corrupted(arm64Image({ length: 4096 })),
    corrupted(bzImage()),
  );
  fc.assert(
    fc.property(inputs, (bytes) => {
      for (const parse of [parseArm64Image, parseBzImage]) expect(() => orRefusal(() => parse(bytes))).not.toThrow();
    }),
    { numRuns: 3000 },
  );
});

/** Null where it was refused; anything else that is thrown is a fault. */
function orRefusal<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof WcvmmError && error.code === 'E_GUEST_IMAGE') return null;
    throw error;
  }
}
