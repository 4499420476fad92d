import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePatMsr } from '../memattr/index.ts';
import { parseHostPtdump, readHostRange } from '../tool/verify/read-back/host-ptdump.ts';
import { memtypesOf, parseMemtypeList } from '../tool/verify/read-back/memtype-list.ts';

const LIST = `PAT memtype list:
PAT: [mem 0x00000000fd000000-0x00000000fd400000] uncached-minus
PAT: [mem 0x00000000fd022000-0x00000000fd033000] write-combining
PAT: [mem 0x00000000fd400000-0x00000000fd401000] uncached
`;

const hex = (value: bigint): string => value.toString(16).padStart(16, '0');
const address = fc.bigInt(0n, (1n << 52n) - 1n);

describe('the PAT memtype list', () => {
  test('becomes reservations, whose end is not theirs', () => {
    const list = parseMemtypeList(LIST);
    expect(list).toEqual([
      { start: 0xfd00_0000n, end: 0xfd40_0000n, type: 'UC-' },
      { start: 0xfd02_2000n, end: 0xfd03_3000n, type: 'WC' },
      { start: 0xfd40_0000n, end: 0xfd40_1000n, type: 'UC' },
    ]);
    expect(memtypesOf(list, 0xfd02_2000n, 0x1000n)).toEqual(['UC-', 'WC']);
    expect(memtypesOf(list, 0xfd3f_f000n, 0x1000n)).toEqual(['UC-']);
    expect(memtypesOf(list, 0xfd3f_f000n, 0x2000n)).toEqual(['UC-', 'UC']);
    expect(memtypesOf(list, 0xfe00_0000n, 0x1000n)).toEqual([]);
  });

  test('knows every name that the kernel has', () => {
    const names = [
      ['uncached', 'UC'],
      ['uncached-minus', 'UC-'],
      ['write-back', 'WB'],
      ['write-combining', 'WC'],
      ['write-through', 'WT'],
      ['write-protected', 'WP'],
    ] as const;
    fc.assert(
      fc.property(fc.array(fc.tuple(address, address, fc.constantFrom(...names))), (all) => {
        const text = all.map(([start, end, [name]]) => `PAT: [mem 0x${hex(start)}-0x${hex(end)}] ${name}\n`).join('');
        expect(parseMemtypeList(`PAT memtype list:\n${text}`)).toEqual(
          all.map(([start, end, [, type]]) => ({ start, end, type })),
        );
      }),
    );
    expect(parseMemtypeList('')).toEqual([]);
  });

  test.each([
    'PAT: [mem 0x00000000fd000000-0x00000000fd400000] broken',
    'PAT: [mem 0xfd000000-0xfd400000] uncached',
    'uncached',
  ])('refuses the line "%s"', (line) => {
    expect(() => parseMemtypeList(`${LIST}${line}\n`)).toThrow(RangeError);
  });
});

const ENTRY = { user: true, writable: true };

// Rows as printk_prot() (arch/x86/mm/dump_pagetables.c) lays them out: fixed columns.
const DUMP = [
  '---[ User Space ]---',
  '0x0000000000000000-0x0000000000400000           4M                               pmd',
  '0x0000000000400000-0x0000000000401000           4K USR ro                     x  pte',
  '0x00007f1c3fe00000-0x00007f1c40000000           2M USR RW PWT     PSE         NX pmd',
  '0x00007f1c40000000-0x00007f1c40002000           8K USR RW PWT PCD             NX pte',
  '0x00007f1c40002000-0x00007f1c40003000           4K USR RW     PCD             NX pte',
  '0x00007f1c40003000-0x00007f1c40004000           4K USR RW PWT         PAT     NX pte',
  '0x00007f1c40004000-0x0000800000000000       10240G                               pgd',
  '---[ Kernel Space ]---',
  '0xffff888000000000-0xffff888040000000           1G     RW         PSE     GLB NX pud',
].join('\n');

const flag = (name: string, on: boolean): string => (on ? name : ' '.repeat(name.length)).concat(' ');

describe('the host’s page tables', () => {
  test('become what is mapped', () => {
    const none = { pwt: false, pcd: false, pat: false };
    expect(parseHostPtdump(DUMP)).toEqual([
      { start: 0x40_0000n, end: 0x40_1000n, entrySize: 4096, user: true, writable: false, cache: none },
      { start: 0x7f1c_3fe0_0000n, end: 0x7f1c_4000_0000n, entrySize: 2 << 20, ...ENTRY, cache: { ...none, pwt: true } },
      {
        start: 0x7f1c_4000_0000n,
        end: 0x7f1c_4000_2000n,
        entrySize: 4096,
        ...ENTRY,
        cache: { pwt: true, pcd: true, pat: false },
      },
      { start: 0x7f1c_4000_2000n, end: 0x7f1c_4000_3000n, entrySize: 4096, ...ENTRY, cache: { ...none, pcd: true } },
      {
        start: 0x7f1c_4000_3000n,
        end: 0x7f1c_4000_4000n,
        entrySize: 4096,
        ...ENTRY,
        cache: { ...none, pwt: true, pat: true },
      },
      {
        start: 0xffff_8880_0000_0000n,
        end: 0xffff_8880_4000_0000n,
        entrySize: 2 ** 30,
        user: false,
        writable: true,
        cache: none,
      },
    ]);
  });

  test('give a mapping’s type by the PAT', () => {
    const ranges = parseHostPtdump(DUMP);
    const read = (start: bigint, length: bigint) => readHostRange(ranges, start, length);
    expect(read(0x40_0000n, 4096n)).toEqual({ memoryType: 'WB', blockSize: 4096, mixed: false });
    expect(read(0x7f1c_3ff0_0000n, 4096n)).toEqual({ memoryType: 'WC', blockSize: 2 << 20, mixed: false });
    expect(read(0x7f1c_4000_0000n, 0x2000n)).toEqual({ memoryType: 'UC', blockSize: 4096, mixed: false });
    expect(read(0x7f1c_4000_2000n, 4096n)).toEqual({ memoryType: 'UC-', blockSize: 4096, mixed: false });
    expect(read(0x7f1c_4000_3000n, 4096n)).toEqual({ memoryType: 'WP', blockSize: 4096, mixed: false });
    expect(read(0x7f1c_3fe0_0000n, 0x20_1000n)).toEqual({ memoryType: null, blockSize: 2 << 20, mixed: true });
    expect(read(0x60_0000n, 4096n)).toEqual({ memoryType: null, blockSize: null, mixed: false });
    expect(readHostRange(ranges, 0x7f1c_3fe0_0000n, 4096n, decodePatMsr(0x0007_0406_0007_0206n)).memoryType).toBe(
      'reserved',
    );
  });

  test('come back from every row that the kernel can print', () => {
    fc.assert(
      fc.property(
        address,
        address,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom('pte', 'pmd', 'pud'),
        (start, end, user, writable, pwt, pcd, pat, level) => {
          const flags = [
            flag('USR', user),
            writable ? 'RW ' : 'ro ',
            flag('PWT', pwt),
            flag('PCD', pcd),
            flag('PSE', level !== 'pte'),
            flag('PAT', pat),
            flag('GLB', !user),
            user ? 'NX ' : 'x  ',
          ].join('');
          const [range] = parseHostPtdump(`0x${hex(start)}-0x${hex(end)}   ${'4K'.padStart(10)} ${flags}${level}\n`);
          expect(range).toEqual({
            start,
            end,
            entrySize: { pte: 4096, pmd: 2 << 20, pud: 2 ** 30 }[level],
            user,
            writable,
            cache: { pwt, pcd, pat },
          });
        },
      ),
    );
  });

  test('never throw, whatever is read', () => {
    fc.assert(
      fc.property(fc.nat(DUMP.length - 1), fc.string({ minLength: 1, maxLength: 3 }), (at, garbage) => {
        expect(parseHostPtdump(garbage)).toEqual([]);
        expect(
          parseHostPtdump(DUMP.slice(0, at) + garbage + DUMP.slice(at + garbage.length)).length,
        ).toBeLessThanOrEqual(6);
      }),
    );
  });
});
