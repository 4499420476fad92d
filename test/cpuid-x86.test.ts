import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cpuidFor, physicalBits } from '../vmm/kvm/cpuid-x86.ts';

type Leaf = readonly [leaf: number, subleaf: number, eax: number, ebx: number, ecx: number, edx: number];

function cpuid(...leaves: readonly Leaf[]): Uint8Array {
  const bytes = new Uint8Array(8 + leaves.length * 40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, leaves.length, true);
  for (const [index, [leaf, subleaf, ...registers]] of leaves.entries()) {
    const at = 8 + index * 40;
    view.setUint32(at, leaf, true);
    view.setUint32(at + 4, subleaf, true);
    for (const [register, value] of registers.entries()) view.setUint32(at + 12 + register * 4, value, true);
  }
  return bytes;
}

function leafOf(bytes: Uint8Array, leaf: number, subleaf = 0): readonly number[] | null {
  const view = new DataView(bytes.buffer);
  for (let at = 8; at < bytes.length; at += 40) {
    if (view.getUint32(at, true) !== leaf || view.getUint32(at + 4, true) !== subleaf) continue;
    return [12, 16, 20, 24].map((register) => view.getUint32(at + register, true));
  }
  return null;
}

const SUPPORTED = cpuid(
  [0, 0, 0xb, 0, 0, 0],
  [1, 0, 0x663, 0xaa_11_08_00, 1 << 24, 0x178b_fbff],
  [4, 0, 0x1c00_4121, 0, 0, 0],
  [4, 3, 0x1c03_c163, 0, 0, 0],
  [4, 4, 0, 0, 0, 0],
  [0xb, 0, 9, 9, 9, 9],
  [0x8000_0001, 0, 0, 0, 1 << 22, 0],
  [0x8000_0008, 0, 0x3028, 0, 0x7007, 0],
);

test('each vCPU is one core of one package, by every leaf that says so', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 }), fc.nat(15), (count, any) => {
      const id = any % count;
      const own = cpuidFor(SUPPORTED, { id, count, hasTscDeadline: true });
      const shift = Math.ceil(Math.log2(count));
      const [, ebx = 0, ecx = 0, edx = 0] = leafOf(own, 1) ?? [];
      expect([ebx >>> 24, (ebx >> 16) & 0xff, ebx & 0xffff]).toEqual([id, count, 0x800]);
      expect([(ecx >>> 31) & 1, (ecx >> 24) & 1, (ecx >> 21) & 1, (edx >> 28) & 1]).toEqual([
        1,
        1,
        1,
        count > 1 ? 1 : 0,
      ]);
      expect(leafOf(own, 0xb, 0)).toEqual([0, 1, 0x100, id]);
      expect(leafOf(own, 0xb, 1)).toEqual([shift, count, 0x201, id]);
      expect(leafOf(own, 0x8000_0008)?.[2]).toBe((shift << 12) | (count - 1));
      // The first level of cache is a core's own, the third is shared.
      expect((leafOf(own, 4, 0)?.[0] ?? 0) >>> 14).toBe((count - 1) << 12);
      expect(((leafOf(own, 4, 3)?.[0] ?? 0) >>> 14) & 0xfff).toBe(count - 1);
      expect(leafOf(own, 4, 4)).toEqual([0, 0, 0, 0]);
    }),
  );
});

test('a timer that KVM does not have is not offered, nor a leaf that the CPU does not have', () => {
  const own = cpuidFor(SUPPORTED, { id: 0, count: 1, hasTscDeadline: false });
  expect(((leafOf(own, 1)?.[2] ?? 0) >> 24) & 1).toBe(0);
  expect([
    leafOf(own, 0x1f),
    leafOf(cpuidFor(cpuid([0, 0, 7, 0, 0, 0]), { id: 0, count: 1, hasTscDeadline: false }), 0xb),
  ]).toEqual([null, null]);
  expect(leafOf(own, 0x8000_0001)?.[2]).toBe(0);
});

test('bits of an address', () => {
  expect([physicalBits(SUPPORTED), physicalBits(cpuid([0, 0, 1, 0, 0, 0]))]).toEqual([40, 36]);
});
