/** The log of a Linux guest's program, found in RAM that the guest may have filled with anything. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GuestRam } from '../vmm/memory/ram.ts';
import { ABI, LOG_AT, SIZE_OF } from '../tool/verify/guest/abi.ts';
import { LINUX_ABI, PAGE_AT } from '../tool/verify/linux/abi.ts';
import type { Mark } from '../tool/verify/linux/abi.ts';
import { findLog } from '../tool/verify/linux/log.ts';
import { WcvmmError } from '../common/errors.ts';

const MARK: Mark = [0x0123_4567_89ab_cdefn, 0xfedc_ba98_7654_3210n];
const MASK = (1n << 64n) - 1n;
const BASE = 0x4000_0000n;
const CELLS = 100;
const RECORDS = SIZE_OF.logHeader + CELLS * SIZE_OF.record;
const PAGES = Math.ceil((RECORDS + LINUX_ABI.maxText) / LINUX_ABI.content);

function ramOf(bytes: Uint8Array): GuestRam {
  const mapping = undefined as never;
  return {
    regions: [{ gpa: BASE, length: BigInt(bytes.length), mapping }],
    address: (gpa) => gpa,
    view: (gpa, length) => bytes.subarray(Number(gpa - BASE), Number(gpa - BASE) + length),
    read: (gpa, length) => bytes.slice(Number(gpa - BASE), Number(gpa - BASE) + length),
    write: () => {},
  };
}

interface Left {
  /** Where page n of the log is: a number of pages from the start of RAM. */
  readonly at?: (index: number) => number;
  readonly text?: string;
  readonly textLength?: bigint;
  readonly mark?: Mark;
}

/** RAM as a correct program leaves it, with the control behind the log. */
function ramWithLog({ at = (index) => 40 - index, text = '6.1.0-1-cloud-arm64\n', ...more }: Left = {}): Uint8Array {
  const contents = new Uint8Array(PAGES * LINUX_ABI.content);
  const view = new DataView(contents.buffer);
  view.setBigUint64(LOG_AT.magic, ABI.magic, true);
  view.setBigUint64(LOG_AT.reserved + LINUX_ABI.bootNs * 8, 1_500_000_000n, true);
  view.setBigUint64(LOG_AT.reserved + LINUX_ABI.textLength * 8, more.textLength ?? BigInt(text.length), true);
  contents.set(Buffer.from(text), RECORDS);
  const ram = new Uint8Array(64 * LINUX_ABI.pageSize);
  const [first, second] = more.mark ?? MARK;
  for (let index = 0; index <= PAGES; index += 1) {
    const page = new DataView(ram.buffer, at(index) * LINUX_ABI.pageSize, LINUX_ABI.pageSize);
    page.setBigUint64(PAGE_AT.mark, first ^ MASK, true);
    page.setBigUint64(PAGE_AT.mark + 8, second ^ MASK, true);
    page.setUint32(PAGE_AT.index, index, true);
    page.setUint32(PAGE_AT.pageCount, PAGES, true);
    const content = contents.subarray(index * LINUX_ABI.content, (index + 1) * LINUX_ABI.content);
    ram.set(content, at(index) * LINUX_ABI.pageSize + PAGE_AT.content);
  }
  return ram;
}

test('is put together from pages in any order', () => {
  const log = findLog(ramOf(ramWithLog({ text: '6.1.0-1-cloud-arm64\nPAT memtype list:\n' })), MARK, CELLS);
  expect(log).toMatchObject({
    release: '6.1.0-1-cloud-arm64',
    memtypes: 'PAT memtype list:\n',
    bootNs: 1_500_000_000n,
    control: BASE + BigInt((40 - PAGES) * LINUX_ABI.pageSize),
  });
  expect(new DataView(log?.bytes.slice().buffer ?? new ArrayBuffer(8)).getBigUint64(0, true)).toBe(ABI.magic);
  expect(log?.bytes).toHaveLength(RECORDS);
});

test('is not there where the program never began, nor for the mark of another boot or the questions themselves', () => {
  expect(findLog(ramOf(new Uint8Array(1 << 16)), MARK, CELLS)).toBeNull();
  const inverted: Mark = [MARK[0] ^ MASK, MARK[1] ^ MASK];
  expect(findLog(ramOf(ramWithLog({ mark: inverted })), MARK, CELLS)).toBeNull();
});

test('has no list of memory types where it was cut, and no release that is none', () => {
  const log = findLog(ramOf(ramWithLog({ text: 'a\u001b[31m\nPAT: [mem 0x00' })), MARK, CELLS);
  expect(log).toMatchObject({ release: 'unknown', memtypes: '' });
});

describe('is refused', () => {
  test.each([
    [
      'where a page is missing',
      ramWithLog({ at: (index) => (index === 3 ? 2 : 40 - index) }).fill(0, 2 * 4096, 3 * 4096),
    ],
    ['where its text has no end', ramWithLog({ textLength: 1n << 63n })],
    ['where its text is longer than there is room', ramWithLog({ textLength: BigInt(LINUX_ABI.maxText) + 1n })],
  ])('%s', (_what, ram) => {
    expect(() => findLog(ramOf(ram), MARK, CELLS)).toThrow(expect.objectContaining({ code: 'E_GUEST_RECORDS' }));
  });

  test('where a page is there twice', () => {
    const ram = ramWithLog();
    ram.copyWithin(60 * 4096, 39 * 4096, 40 * 4096);
    expect(() => findLog(ramOf(ram), MARK, CELLS)).toThrow(/page 1 of \d+ is there 2 times/);
  });

  test('where it is of another number of cells', () => {
    expect(() => findLog(ramOf(ramWithLog()), MARK, CELLS * 4)).toThrow(/it says that it has/);
  });
});

function attempted(ram: Uint8Array): string {
  try {
    const log = findLog(ramOf(ram), MARK, CELLS);
    return log === null ? 'none' : `log of ${log.bytes.length} bytes`;
  } catch (error) {
    return error instanceof WcvmmError ? error.code : String(error);
  }
}

test('whatever a guest writes over it, there is a log, none, or a refusal', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(64 * 4096 - 1), fc.uint8Array({ maxLength: 64 })), { maxLength: 30 }),
      (strokes) => {
        const ram = ramWithLog();
        for (const [at, bytes] of strokes) ram.set(bytes.subarray(0, ram.length - at), at);
        expect(attempted(ram)).toMatch(/^(?:none|log of \d+ bytes|E_GUEST_RECORDS)$/);
      },
    ),
  );
});
