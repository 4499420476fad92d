import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { containerIovaRanges, decodeCapabilities, mmapAttributes, sparseAreas } from '../vmm/vfio/capabilities.ts';
import { getRegionInfo } from '../vmm/sys/vfio.ts';
import { reservedIn } from '../vmm/vfio/dma.ts';
import { mappableAreas } from '../vmm/vfio/source.ts';
import { codeOf, stubPort } from './stub-port.ts';

function chain(entries: readonly { id: number; body: readonly number[] }[]): Uint8Array {
  const start = 32;
  const total = entries.reduce((sum, { body }) => sum + 8 + body.length * 4, start);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = start;
  for (const [index, { id, body }] of entries.entries()) {
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    const end = at + 8 + body.length * 4;
    view.setUint32(at + 4, index === entries.length - 1 ? 0 : end, true);
    for (const [word, value] of body.entries()) view.setUint32(at + 8 + word * 4, value, true);
    at = end;
  }
  return bytes;
}

describe('a capability chain', () => {
  test('gives sparse areas and attributes', () => {
    const reply = chain([
      { id: 1, body: [2, 0, 0, 0, 0x1000, 0, 0x3000, 0, 0x1000, 0] },
      { id: 6, body: [0b111, 0] },
    ]);
    const capabilities = decodeCapabilities(reply, 32);
    expect(sparseAreas(capabilities)).toEqual([
      { offset: 0n, length: 0x1000n },
      { offset: 0x3000n, length: 0x1000n },
    ]);
    expect(mmapAttributes(capabilities)).toBe(0b111);
  });

  test('gives each capability with what is behind its header, to the end of the reply', () => {
    const reply = chain([
      { id: 1, body: [] },
      { id: 3, body: [0x11223344] },
    ]);
    expect(decodeCapabilities(reply, 32)).toEqual([
      { id: 1, version: 1, body: reply.subarray(40) },
      { id: 3, version: 1, body: reply.subarray(48) },
    ]);
    expect(decodeCapabilities(reply, 0)).toEqual([]);
    expect(decodeCapabilities(reply, reply.length - 7)).toEqual([]);
  });

  test('ends where it would run backwards', () => {
    const reply = chain([
      { id: 1, body: [] },
      { id: 3, body: [] },
    ]);
    new DataView(reply.buffer).setUint32(44, 32, true);
    expect(decodeCapabilities(reply, 32).map(({ id }) => id)).toEqual([1, 3]);
  });

  test('has no areas and no attributes where nothing in it says so', () => {
    const [other, short] = [3, 6].map((id) => decodeCapabilities(chain([{ id, body: [] }]), 32));
    expect([other, short, []].map((capabilities) => mmapAttributes(capabilities ?? []))).toEqual([null, null, null]);
    expect(mmapAttributes(decodeCapabilities(chain([{ id: 6, body: [5] }]), 32))).toBe(5);
    expect([other, []].map((capabilities) => sparseAreas(capabilities ?? []))).toEqual([null, null]);
    // One that is there and says nothing leaves nothing to be mapped.
    for (const body of [[1], [], [0, 0], [1, 0], [1, 0, 0x1000, 0, 0x1000]])
      expect(sparseAreas(decodeCapabilities(chain([{ id: 1, body }]), 32))).toEqual([]);
  });

  test('a list has as many pairs as it counts, and no more', () => {
    const body = [1, 0, 0x1000, 0, 0x2000, 0, 0x8000, 0, 0x1000, 0];
    expect(sparseAreas(decodeCapabilities(chain([{ id: 1, body }]), 32))).toEqual([
      { offset: 0x1000n, length: 0x2000n },
    ]);
  });

  test('a count larger than the reply gives what is there', () => {
    const reply = chain([{ id: 1, body: [0xffff_ffff, 0, 0, 0, 0x1000, 0] }]);
    expect(sparseAreas(decodeCapabilities(reply, 32))).toHaveLength(1);
  });

  test('a chain that runs in a circle ends', () => {
    const reply = chain([{ id: 3, body: [] }]);
    new DataView(reply.buffer).setUint32(36, 32, true);
    expect(decodeCapabilities(reply, 32)).toHaveLength(1);
  });

  test('any bytes are decoded without an exception and to an end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 256 }), fc.nat(300), (bytes, first) => {
        const capabilities = decodeCapabilities(bytes, first);
        sparseAreas(capabilities);
        mmapAttributes(capabilities);
        containerIovaRanges(bytes);
        expect(capabilities.length).toBeLessThanOrEqual(bytes.length / 8);
      }),
    );
  });
});

function replyWith(entries: Parameters<typeof chain>[0], flags = 2): Uint8Array {
  const reply = chain(entries);
  const view = new DataView(reply.buffer);
  view.setUint32(4, flags, true);
  view.setUint32(16, 32, true);
  return reply;
}

describe("a container's reply", () => {
  const ranges = { id: 1, body: [2, 0, 0, 0, 0xfdff_ffff, 0, 0, 1, 0xffff_ffff, 0xff] };

  test('says which IOVAs can be mapped, first and last of each', () => {
    const expected = [
      { start: 0n, last: 0xfdff_ffffn },
      { start: 0x1_0000_0000n, last: 0xff_ffff_ffffn },
    ];
    expect(containerIovaRanges(replyWith([ranges]))).toEqual(expected);
    expect(containerIovaRanges(replyWith([{ id: 2, body: [0, 0] }, ranges]))).toEqual(expected);
  });

  test('does not say where the capability is missing, or cut short', () => {
    expect(containerIovaRanges(replyWith([ranges], 0))).toBeNull();
    expect(containerIovaRanges(replyWith([{ id: 2, body: [0, 0] }]))).toBeNull();
    expect(containerIovaRanges(replyWith([{ id: 1, body: [0] }]))).toBeNull();
    expect(containerIovaRanges(replyWith([{ id: 1, body: [0, 0] }]))).toEqual([]);
    expect(containerIovaRanges(new Uint8Array(8))).toBeNull();
  });
});

describe('what of guest RAM the IOMMU reserves', () => {
  const MSI_HOLE = [
    { start: 0n, last: 0x7ff_ffffn },
    { start: 0x810_0000n, last: (1n << 48n) - 1n },
  ];

  test.each([
    ['RAM beside the hole', 0x4000_0000n, 4n << 20n, []],
    ['RAM that ends where the hole starts', 0x7f0_0000n, 0x10_0000n, []],
    ['RAM around the hole', 0x4000_000n, 0x1000_0000n, [{ start: 0x800_0000n, last: 0x80f_ffffn }]],
    ['RAM that ends in it', 0x7f0_0000n, 0x10_1000n, [{ start: 0x800_0000n, last: 0x800_0fffn }]],
    ['RAM beyond all of it', 1n << 48n, 0x1000n, [{ start: 1n << 48n, last: (1n << 48n) + 0xfffn }]],
  ])('%s', (_name, start, length, reserved) => {
    expect(reservedIn(MSI_HOLE, start, length)).toEqual(reserved);
  });

  test('agrees with a bitmap of pages', () => {
    const range = fc.tuple(fc.nat(63), fc.nat(63)).map(([a, b]) => ({ start: Math.min(a, b), last: Math.max(a, b) }));
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 4 }),
        fc.nat(63),
        fc.integer({ min: 1, max: 16 }),
        (ranges, start, length) => {
          const pages = Array.from({ length }, (_, page) => start + page);
          const expected = pages.filter((page) => !ranges.some((one) => one.start <= page && page <= one.last));
          const reserved = reservedIn(
            ranges.map((one) => ({ start: BigInt(one.start), last: BigInt(one.last) })),
            BigInt(start),
            BigInt(length),
          );
          expect(pages.filter((page) => reserved.some((one) => one.start <= page && page <= one.last))).toEqual(
            expected,
          );
        },
      ),
    );
  });
});

describe('a description of a region', () => {
  const REGION_INFO = 0x3b6c;
  const [MMAP, CAPS] = [4, 8];

  function describedAs(flags: number, wanted: number): ReturnType<typeof getRegionInfo> {
    const { port } = stubPort({
      ioctls: {
        [REGION_INFO]: (bytes) => {
          if (typeof bytes === 'number') return;
          const view = new DataView(bytes.buffer);
          view.setUint32(0, wanted, true);
          view.setUint32(4, flags, true);
          view.setBigUint64(16, 0x10000n, true);
        },
      },
    });
    return getRegionInfo(port, 3, 2);
  }

  test('that has no capabilities lets all of it be mapped', () => {
    expect(mappableAreas(describedAs(MMAP, 32))).toEqual([{ offset: 0n, length: 0x10000n }]);
    expect(mappableAreas(describedAs(0, 32))).toEqual([]);
  });

  test('that announces capabilities and gives none lets nothing be mapped', () => {
    expect(mappableAreas(describedAs(MMAP | CAPS, 64))).toEqual([]);
  });

  test('that is larger than any is refused, not read without its capabilities', () => {
    expect(codeOf(() => describedAs(MMAP | CAPS, 65537))).toBe('E_SYSCALL');
    expect(codeOf(() => describedAs(MMAP | CAPS, 65536))).toBe('none');
  });
});
