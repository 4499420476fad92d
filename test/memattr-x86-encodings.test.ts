import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  LINUX_PAT,
  decodeEpt,
  decodePat,
  decodePatMsr,
  encodeEpt,
  encodePat,
  encodePatMsr,
  lookUpPat,
  nameOfLeaf,
  nameOfX86Stage2,
  patBitsOf,
  patIndex,
  x86Stage2Of,
} from '../memattr/index.ts';
import type { PatEntry } from '../memattr/index.ts';
import { PAT_TYPES, RESET_PAT, STAGE1_TYPES } from '../memattr/x86/pat.ts';
import { MTRR_TYPES } from '../memattr/model.ts';
import { X86_STAGE2 } from '../memattr/x86/stage2.ts';

const nameOf = (entry: PatEntry): string => (entry.kind === 'type' ? entry.type : 'reserved');
const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const anyLeaf = fc.bigInt(0n, (1n << 64n) - 1n);

const bits = (leaf: bigint, large: boolean): number => patIndex(patBitsOf(leaf, large));

describe('PAT', () => {
  test('entries mean what the manuals say, and the others nothing', () => {
    expect(bytes.slice(0, 8).map((byte) => nameOf(decodePat(byte)))).toEqual([
      'UC',
      'WC',
      'reserved',
      'reserved',
      'WT',
      'WP',
      'WB',
      'UC-',
    ]);
    expect(bytes.slice(8).filter((byte) => nameOf(decodePat(byte)) !== 'reserved')).toEqual([]);
    for (const byte of [2, 3, 8, 255])
      expect(decodePat(byte)).toEqual({
        kind: 'reserved',
        why: `PAT type ${byte} is reserved: a PAT with it raises #GP`,
      });
  });

  test.each([-1, 256, 0.5, Number.NaN])('%d is no entry', (byte) => {
    expect(() => decodePat(byte)).toThrow(RangeError);
  });

  test('types come back from their encodings', () => {
    for (const type of PAT_TYPES) expect(decodePat(encodePat(type))).toEqual({ kind: 'type', type });
    expect(STAGE1_TYPES.map(({ name, encoding }) => `${name} ${encoding}`).toSorted()).toEqual([
      'UC 0',
      'UC- 7',
      'WB 6',
      'WC 1',
      'WP 5',
      'WT 4',
    ]);
  });

  test('registers come back from their types', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PAT_TYPES), { minLength: 8, maxLength: 8 }), (types) => {
        expect(decodePatMsr(encodePatMsr(types)).map(nameOf)).toEqual(types);
      }),
    );
    expect(() => encodePatMsr(['WB'])).toThrow(RangeError);
    expect(() => decodePatMsr(-1n)).toThrow(RangeError);
    expect(() => decodePatMsr(1n << 64n)).toThrow(RangeError);
  });

  test('after a reset, and as Linux has it', () => {
    expect(decodePatMsr(0x0007_0406_0007_0406n)).toEqual(RESET_PAT);
    expect(decodePatMsr(0x0407_0506_0007_0106n)).toEqual(LINUX_PAT);
  });

  test('is indexed by PAT, PCD and PWT, wherever the PAT bit is', () => {
    expect([0n, 0x08n, 0x10n, 0x18n, 0x80n, 0x88n, 0x90n, 0x98n].map((leaf) => bits(leaf, false))).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7,
    ]);
    expect([0x80n, 0x88n, 0x1080n, 0x1098n].map((leaf) => bits(leaf, true))).toEqual([0, 1, 4, 7]);
    expect(LINUX_PAT.map(nameOf)).toEqual(
      [false, true].flatMap((pat) =>
        [false, true].flatMap((pcd) => [false, true].map((pwt) => nameOf(lookUpPat({ pat, pcd, pwt })))),
      ),
    );
  });
});

describe('EPT', () => {
  test('types are bits 5:3, and three values are reserved', () => {
    const names = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]
      .map((value) => decodeEpt(value << 3n))
      .map((entry) => (entry.kind === 'type' ? entry.type : entry.why));
    expect(names).toEqual([
      'UC',
      'WC',
      expect.stringContaining('2 is reserved'),
      expect.stringContaining('3 is reserved'),
      'WT',
      'WP',
      'WB',
      expect.stringContaining('7 is reserved'),
    ]);
  });

  test('entries come back from their types, whatever else is in the leaf', () => {
    fc.assert(
      fc.property(anyLeaf, fc.constantFrom(...MTRR_TYPES), fc.boolean(), (rest, type, ignorePat) => {
        const leaf = (rest & ~0x78n) | encodeEpt({ type, ignorePat });
        expect(decodeEpt(leaf)).toEqual({ kind: 'type', type, ignorePat });
      }),
    );
  });
});

describe('names of stage 2', () => {
  test('are different, and lead back', () => {
    expect(new Set(X86_STAGE2.map(nameOfX86Stage2)).size).toBe(17);
    for (const stage2 of X86_STAGE2) expect(x86Stage2Of(nameOfX86Stage2(stage2))).toEqual(stage2);
  });

  test.each(['', 'UC', 'EPT UC-', 'NPT UC IPAT', 'reserved', 'mixed', 'Normal-NC'])('"%s" is none', (name) => {
    expect(() => x86Stage2Of(name)).toThrow(RangeError);
  });

  test('are given to every leaf, or it is reserved', () => {
    fc.assert(
      fc.property(anyLeaf, fc.boolean(), fc.constantFrom('ept', 'npt'), (leaf, large, paging) => {
        const names = [...X86_STAGE2.filter((stage2) => stage2.paging === paging).map(nameOfX86Stage2), 'reserved'];
        expect(names).toContain(nameOfLeaf(paging, leaf, large));
      }),
    );
  });

  // arch/x86/kvm/vmx/vmx.c and mmu/spte.c: what KVM writes into these bits.
  test.each([
    ['ept', 0x30n | 0x40n, 'EPT WB IPAT'],
    ['ept', 0x00n, 'EPT UC'],
    ['ept', 0x40n, 'EPT UC IPAT'],
    ['ept', 0x08n, 'EPT WC'],
    ['npt', 0x00n, 'NPT WB'],
    ['npt', 0x18n, 'NPT UC'],
    ['npt', 0x08n, 'NPT WC'],
    ['npt', 0x10n, 'NPT UC-'],
  ] as const)('%s leaf with bits %d: %s', (paging, bits, name) => {
    for (const large of [true, false]) expect(nameOfLeaf(paging, bits | 0x7n, large)).toBe(name);
  });

  test('of an NPT leaf depend on the host’s PAT', () => {
    expect(nameOfLeaf('npt', 0x08n, false, RESET_PAT)).toBe('NPT WT');
    expect(nameOfLeaf('npt', 0x08n, false, decodePatMsr(0x0200n))).toBe('reserved');
  });
});
