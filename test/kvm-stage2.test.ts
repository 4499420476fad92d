import { describe, expect, test } from 'vitest';
import { entrySize, parseStage2, readRange, readStage2 } from '../tool/verify/read-back/stage2.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const DUMP = `---[ IPA bits 40 start lvl 1 ]---
0x0000000040000000-0x0000000040011000          68K 3   R W px ux  AF     MEM/NORMAL
0x0000000100000000-0x0000000100200000           2M 2   R W PXNUXN AF BLK DEVICE/nGnRE
0x0000000100200000-0x0000000100201000           4K 3   R W PXNUXN AF     MEM/NORMAL-NC
`;

function read(readText: Port['readText']): unknown {
  return readStage2({ ...stubPort({}).port, readText }, '7-3');
}

function refused(errno: ErrnoName): unknown {
  return read(() => {
    throw new SysError('open', ERRNO[errno]);
  });
}

describe('the stage-2 dump', () => {
  test('becomes ranges with levels and types', () => {
    expect(parseStage2(DUMP)).toEqual([
      { start: 0x4000_0000n, end: 0x4001_1000n, level: 3, memoryType: 'Normal-WB' },
      { start: 0x1_0000_0000n, end: 0x1_0020_0000n, level: 2, memoryType: 'Device-nGnRE' },
      { start: 0x1_0020_0000n, end: 0x1_0020_1000n, level: 3, memoryType: 'Normal-NC' },
    ]);
  });

  test('of a stock kernel has no types, and that is not a type', () => {
    const stock = parseStage2(DUMP.replaceAll(/ (MEM|DEVICE)\/\S+/g, ''));
    expect(stock.map(({ memoryType }) => memoryType)).toEqual([null, null, null]);
    expect(readRange(stock, 0x1_0000_0000n, 0x20_0000n, 4096)).toEqual({
      memoryType: null,
      blockSize: 2 << 20,
      mixed: false,
    });
  });

  test('a window of two types is mixed', () => {
    expect(readRange(parseStage2(DUMP), 0x1_0000_0000n, 0x40_0000n, 4096)).toEqual({
      memoryType: null,
      blockSize: 2 << 20,
      mixed: true,
    });
  });

  test('a window that nobody touched has neither type nor block', () => {
    expect(readRange(parseStage2(DUMP), 0x2_0000_0000n, 0x1000n, 4096)).toEqual({
      memoryType: null,
      blockSize: null,
      mixed: false,
    });
  });

  test.each([
    ['MEM/NORMAL', 'Normal-WB'],
    ['MEM/NORMAL-NC', 'Normal-NC'],
    ['DEVICE/nGnRnE', 'Device-nGnRnE'],
    ['DEVICE/nGnRE', 'Device-nGnRE'],
    ['DEVICE/nGRE', 'Device-nGRE'],
    ['DEVICE/GRE', 'Device-GRE'],
    ['RESERVED', 'reserved'],
    ['DEVICE/other', null],
    ['MEM/NORMAL-NCX', null],
    ['', null],
  ])('names %s %s', (word, memoryType) => {
    const line = `0x0000000100000000-0x0000000100200000           2M 2   R W px ux  AF BLK ${word}`;
    expect(parseStage2(line)).toMatchObject([{ memoryType }]);
    expect(parseStage2(`${line} and more`)).toMatchObject([{ memoryType }]);
  });

  test('an entry that faults is no range, nor a line with something before it', () => {
    const line = '0x0000000100000000-0x0000000100200000           2M 2   R W F MEM/NORMAL';
    expect(parseStage2(line)).toEqual([]);
    expect(parseStage2(line.replace(' F ', ' '))).toHaveLength(1);
    expect(parseStage2(line.replace(' F ', ' AF '))).toHaveLength(1);
    expect(parseStage2(`# ${line.replace(' F ', ' ')}`)).toEqual([]);
  });

  test('a range that ends where the window begins is none of it', () => {
    const ranges = parseStage2(DUMP);
    expect(readRange(ranges, 0x1_0020_0000n, 0x1000n, 4096)).toMatchObject({ memoryType: 'Normal-NC', mixed: false });
    expect(readRange(ranges, 0x1_0000_0000n, 0x20_0000n, 4096)).toMatchObject({ memoryType: 'Device-nGnRE' });
  });

  test('is read in the folder of its VM, and says why it cannot be', () => {
    const path = '/sys/kernel/debug/kvm/7-3/stage2_page_tables';
    expect(readStage2(stubPort({ texts: { [path]: DUMP } }).port, '7-3')).toEqual({
      kind: 'read',
      ranges: parseStage2(DUMP),
    });
    const byRoot = {
      kind: 'unavailable',
      why: `${path} may only be read by root, and not where the kernel is locked down`,
    };
    expect([refused('EACCES'), refused('EPERM')]).toEqual([byRoot, byRoot]);
    expect(refused('ENOENT')).toEqual({
      kind: 'unavailable',
      why: `${path} cannot be read: mount debugfs on /sys/kernel/debug and use a kernel with CONFIG_PTDUMP_STAGE2_DEBUGFS`,
    });
    expect(() =>
      read(() => {
        throw new TypeError('a fault of this program');
      }),
    ).toThrow(TypeError);
  });

  test('garbage is no range', () => {
    expect(parseStage2('0x1-0x2\n\n0xzz-0x1 4K 3 R\nhello')).toEqual([]);
  });
});

test.each([
  [3, 4096, 4096],
  [2, 4096, 2 << 20],
  [1, 4096, 2 ** 30],
  [2, 16384, 32 << 20],
  [2, 65536, 512 << 20],
])('an entry of level %i with pages of %i bytes maps %i bytes', (level, page, size) => {
  expect(entrySize(level, page)).toBe(size);
});
