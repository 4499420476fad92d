import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { ARCHES } from '../memattr/index.ts';
import type { Arch } from '../memattr/index.ts';
import { loadImage, parseElf } from '../vmm/boot/elf.ts';
import { parseGuest } from '../tool/verify/guest/image.ts';
import { randomRuns } from './random-runs.ts';

interface Header {
  type?: number;
  offset?: bigint;
  address: bigint;
  fileSize?: bigint;
  memorySize?: bigint;
}

const BASE = 0x4000_0000n;
const PAYLOAD = Uint8Array.from({ length: 64 }, (_, index) => index + 1);

/** A minimal image: header, program headers, then 64 bytes of payload that every segment shows unless it says otherwise. */
function image(
  segments: readonly Header[],
  { entry = BASE, machine = 183, type = 2, phentsize = 56 } = {},
): Uint8Array {
  const payloadAt = 64 + segments.length * 56;
  const bytes = new Uint8Array(payloadAt + PAYLOAD.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, phentsize, true);
  view.setUint16(56, segments.length, true);
  for (const [index, segment] of segments.entries()) {
    const at = 64 + index * 56;
    view.setUint32(at, segment.type ?? 1, true);
    view.setBigUint64(at + 8, segment.offset ?? BigInt(payloadAt), true);
    view.setBigUint64(at + 16, 0xffff_0000_0000_0000n, true);
    view.setBigUint64(at + 24, segment.address, true);
    view.setBigUint64(at + 32, segment.fileSize ?? 64n, true);
    view.setBigUint64(at + 40, segment.memorySize ?? 64n, true);
  }
  bytes.set(PAYLOAD, payloadAt);
  return bytes;
}

function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

/** True if the image is refused properly, or taken with nothing in it that is not the file's; else what was thrown. */
function acceptsOrRefuses(bytes: Uint8Array, arch: Arch): unknown {
  try {
    return parseGuest(bytes, arch).segments.every(({ data }) => data.buffer === bytes.buffer);
  } catch (error) {
    return error instanceof WcvmmError && error.code === 'E_GUEST_IMAGE' ? true : error;
  }
}

describe('parseElf', () => {
  it('gives the segments by ascending address, with their zeroed tail', () => {
    const found = parseGuest(
      image([{ address: BASE + 0x1000n, memorySize: 0x2000n }, { type: 0x6474_e551, address: 0n }, { address: BASE }], {
        entry: BASE + 4n,
      }),
      'arm64',
    );
    expect(found).toEqual({
      entry: BASE + 4n,
      segments: [
        { address: BASE, data: PAYLOAD, memorySize: 64n },
        { address: BASE + 0x1000n, data: PAYLOAD, memorySize: 0x2000n },
      ],
    });
  });

  it('takes another place for RAM, and x86', () => {
    const high = { gpa: 0x8000_0000n, length: 0x1000_0000n };
    expect(parseElf(image([{ address: 0x8000_0000n }], { entry: 0x8000_0000n }), 'arm64', high).entry).toBe(
      0x8000_0000n,
    );
    expect(parseGuest(image([{ address: BASE }], { entry: BASE, machine: 62 }), 'x86').entry).toBe(BASE);
  });

  it('loads a segment where it belongs, and nothing else', () => {
    const ram = new Uint8Array(0x3000).fill(0xee);
    loadImage(
      {
        regions: [],
        address: (gpa) => gpa,
        read: () => new Uint8Array(),
        view: () => ram,
        write: (gpa, bytes) => ram.set(bytes, Number(gpa - BASE)),
      },
      parseGuest(image([{ address: BASE + 0x1000n, memorySize: 0x1000n }], { entry: BASE + 0x1000n }), 'arm64'),
    );
    expect(ram.subarray(0x1000, 0x1040)).toEqual(PAYLOAD);
    expect([ram[0xfff], ram[0x1040]]).toEqual([0xee, 0xee]);
  });

  it("shows the image's own bytes and copies nothing", () => {
    const bytes = image([{ address: BASE }]);
    expect(parseGuest(bytes, 'arm64').segments[0]?.data.buffer).toBe(bytes.buffer);
  });

  const good = image([{ address: BASE }]);
  it.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'fewer than an ELF header'],
    ['a shell script', new TextEncoder().encode(`#!/bin/sh\n${'echo\n'.repeat(20)}`), 'not an ELF file'],
    ['a 32-bit file', patched(good, 4, 1), '32-bit'],
    ['a big-endian file', patched(good, 5, 2), 'big-endian'],
    ['an x86 file', image([{ address: BASE }], { machine: 62 }), 'built for x86-64 and this machine is AArch64'],
    ['another machine', image([{ address: BASE }], { machine: 243 }), 'ELF machine 243'],
    ['a position-independent file', image([{ address: BASE }], { type: 3 }), 'position-independent'],
    ['an object file', image([{ address: BASE }], { type: 1 }), 'an object'],
    ['a dynamic executable', image([{ type: 3, address: 0n }, { address: BASE }]), 'shared libraries'],
    ['no segments', image([]), 'no loadable segment'],
    ['only an empty segment', image([{ address: BASE, fileSize: 0n, memorySize: 0n }]), 'no loadable segment'],
    ['odd program headers', image([{ address: BASE }], { phentsize: 32 }), '32 bytes each'],
    ['too many program headers', patched(good, 57, 0xff), 'more than 64'],
    ['cut-off program headers', good.subarray(0, 100), 'truncated: its program headers'],
    ['a cut-off segment', good.subarray(0, -1), 'truncated: its segment at 0x40000000'],
    ['an offset near 2^64', image([{ address: BASE, offset: (1n << 64n) - 1n }]), 'truncated'],
    ['more bytes in the file than in memory', image([{ address: BASE, memorySize: 63n }]), 'more bytes in the file'],
    ['a segment below RAM', image([{ address: BASE - 1n }]), 'outside of guest RAM'],
    ['a segment beyond RAM', image([{ address: BASE + 0x40_0000n - 63n }]), 'outside of guest RAM'],
    ['a segment that wraps around', image([{ address: (1n << 64n) - 32n }]), 'outside of guest RAM'],
    ['a huge zeroed tail', image([{ address: BASE, memorySize: (1n << 64n) - 1n }]), 'outside of guest RAM'],
    ['a segment over the task', image([{ address: BASE + 0x10_0000n }]), 'where the VMM puts'],
    ['a tail that reaches the task', image([{ address: BASE, memorySize: 0x10_0001n }]), 'where the VMM puts'],
    ['overlapping segments', image([{ address: BASE + 63n }, { address: BASE }]), 'overlaps the one at 0x4000003f'],
    ['an entry outside', image([{ address: BASE }], { entry: BASE + 64n }), 'entry point 0x40000040'],
    ['an entry in the zeroed tail', image([{ address: BASE, memorySize: 128n }], { entry: BASE + 64n }), 'entry point'],
  ])('refuses %s', (_, bytes, reason) => {
    expect(() => parseGuest(bytes, 'arm64')).toThrow(
      expect.objectContaining({ code: 'E_GUEST_IMAGE', message: expect.stringContaining(reason) }),
    );
  });

  it("throws nothing but its own error, and hands out only the file's own bytes, whatever they are", () => {
    const interesting = fc.constantFrom(0, 1, 0x40, 0x7f, 0x80, 0xff);
    const changes = fc.array(fc.tuple(fc.nat(64 + 2 * 56 + 64), fc.oneof(interesting, fc.nat(255))), {
      minLength: 1,
      maxLength: 8,
    });
    const mutated = fc.tuple(changes, fc.nat(300)).map(([list, length]) => {
      const bytes = image([{ address: BASE }, { address: BASE + 0x1000n, memorySize: 4096n }]);
      for (const [at, value] of list) bytes[at % bytes.length] = value;
      return bytes.subarray(0, Math.max(length, 40));
    });
    fc.assert(
      fc.property(
        fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })),
        fc.constantFrom(...ARCHES),
        (bytes, machine) => {
          expect(acceptsOrRefuses(bytes, machine)).toBe(true);
        },
      ),
      { numRuns: randomRuns(5000) },
    );
  });
});
