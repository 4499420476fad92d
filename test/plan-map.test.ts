import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { ATTRIBUTES } from '../memattr/index.ts';
import { formatSize, parseMap, parseSize } from '../vmm/memory/index.ts';
import { randomRuns } from './random-runs.ts';

const K = 1024n;

function refusal(text: string): { code: string; lines: string[] } {
  try {
    parseMap(text);
  } catch (error) {
    if (error instanceof WcvmmError) return { code: error.code, lines: error.message.split('\n') };
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

/** What a map that is accepted says that it was, and of one that is refused properly the text itself. */
function textOf(text: string): string {
  try {
    return parseMap(text).text;
  } catch (error) {
    if (error instanceof WcvmmError) return text;
    throw error;
  }
}

describe('sizes', () => {
  it.each([
    ['4096', 4096n],
    ['0', 0n],
    ['0x1000', 4096n],
    ['0X1f', 31n],
    ['64K', 64n * K],
    ['64k', 64n * K],
    ['64KiB', 64n * K],
    ['64kib', 64n * K],
    ['1M', K ** 2n],
    ['2G', 2n * K ** 3n],
    ['1T', K ** 4n],
    ['1TiB', K ** 4n],
    ['0xffffffffffffffff', (1n << 64n) - 1n],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    '',
    ' ',
    '4 K',
    '-1',
    '1.5M',
    '64KB',
    '64X',
    '0x',
    '0x1g',
    '0x10000000000000000',
    '18446744073709551616',
    '16777216T',
    '1e3',
    '٤',
    '1_000',
  ])('does not guess at %j', (text) => {
    expect(parseSize(text)).toBeNull();
  });

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.nat(63), (value, shift) => {
        const bytes = BigInt.asUintN(64, value << BigInt(shift));
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
    expect([0n, 1000n, 4096n, 65536n, 1n << 20n, 3n << 29n, 4097n].map(formatSize)).toEqual([
      '0',
      '1000',
      '4K',
      '64K',
      '1M',
      '1536M',
      '0x1001',
    ]);
  });
});

describe('attributes', () => {
  it('are three names and nothing that only looks like them', () => {
    expect(ATTRIBUTES.map((attribute) => parseMap(`bar2=${attribute}`).attribute)).toEqual(ATTRIBUTES);
  });

  it.each([
    'WC',
    'uncached',
    'wbx',
    'writecombine',
    'uc',
    'dev',
    '',
    'constructor',
    '__proto__',
    '💥',
    'w'.repeat(100_000),
  ])('says which there are instead of %.20j', (text) => {
    const { code, lines } = refusal(`bar2=${text}`);
    expect([code, lines[0]]).toEqual([
      'E_ATTRIBUTE',
      'cannot use this map: expected an attribute: default, device or wc',
    ]);
    expect(lines).toHaveLength(3);
  });

  it.each([
    'cacheable',
    'Cacheable',
    'wb',
    'WB',
    'write-back',
    'writeback',
    'cached',
    'wt',
    'write-through',
    'writethrough',
  ])('says why %s is refused', (text) => {
    const { code, lines } = refusal(`bar2:0-64K=${text}`);
    expect(code).toBe('E_CACHEABLE');
    expect(lines[0]).toContain("only the device's own driver");
  });
});

describe('parseMap', () => {
  it.each([
    ['bar2=wc', 2, 0n, null, 'wc'],
    ['bar2:0-64K=device', 2, 0n, 64n * K, 'device'],
    ['bar2:-64K=device', 2, 0n, 64n * K, 'device'],
    ['bar2:64K-=wc', 2, 64n * K, null, 'wc'],
    ['bar2:-=wc', 2, 0n, null, 'wc'],
    ['bar5:4K+8K=default', 5, 4n * K, 12n * K, 'default'],
    ['bar0:0x1000-0x3000=wc', 0, 4n * K, 12n * K, 'wc'],
    ['bar0:1MiB-2g=wc', 0, K ** 2n, 2n * K ** 3n, 'wc'],
    // Whether it is a multiple of the page is the machine's to say, not the grammar's.
    ['bar0:1-2=wc', 0, 1n, 2n, 'wc'],
    ['bar2:1+0xffffffffffffffff=wc', 2, 1n, 1n << 64n, 'wc'],
  ])('reads %s', (text, bar, start, end, attribute) => {
    expect(parseMap(text)).toEqual({ bar, start, end, attribute, text });
  });

  it('shows the text with a caret under the place, and how a map is written', () => {
    expect(refusal('bar2:0-64X=device').lines).toEqual([
      'cannot use this map: expected a size such as 4096, 0x1000, 64K, 1M or 2G',
      '  bar2:0-64X=device',
      '         ^',
      '  a map is barN[:START-END | :START+LENGTH]=ATTRIBUTE, as in bar2:0-64K=device or bar2:64K-=wc',
    ]);
  });

  it.each([
    ['', 'E_MAP_SYNTAX', 0],
    ['BAR2=wc', 'E_MAP_SYNTAX', 0],
    ['2:0-64K=wc', 'E_MAP_SYNTAX', 0],
    ['region2=wc', 'E_MAP_SYNTAX', 0],
    ['bar6=wc', 'E_MAP_SYNTAX', 3],
    ['bar22=wc', 'E_MAP_SYNTAX', 3],
    ['bar2', 'E_MAP_SYNTAX', 4],
    ['bar2 =wc', 'E_MAP_SYNTAX', 4],
    ['bar20-64K=wc', 'E_MAP_SYNTAX', 3],
    ['bar2:', 'E_MAP_SYNTAX', 5],
    ['bar2:=wc', 'E_MAP_SYNTAX', 5],
    ['bar2:0-64K', 'E_MAP_SYNTAX', 10],
    ['bar2:64K=wc', 'E_MAP_SYNTAX', 5],
    ['bar2:0..64K=wc', 'E_MAP_SYNTAX', 5],
    ['bar2:+64K=wc', 'E_MAP_SYNTAX', 5],
    ['bar2:4K+=wc', 'E_MAP_SYNTAX', 8],
    ['bar2:1.5M-=wc', 'E_MAP_SYNTAX', 5],
    ['bar2:0-64KB=wc', 'E_MAP_SYNTAX', 7],
    ['bar2:0-4K-8K=wc', 'E_MAP_SYNTAX', 7],
    ['bar2:64K-0=wc', 'E_MAP_RANGE', 9],
    ['bar2:64K-64K=wc', 'E_MAP_RANGE', 9],
    ['bar2:64K+0=wc', 'E_MAP_RANGE', 9],
    ['bar2:2+0xffffffffffffffff=wc', 'E_MAP_RANGE', 7],
    ['bar2=', 'E_ATTRIBUTE', 5],
    ['bar2=wc=wc', 'E_ATTRIBUTE', 5],
    ['bar2=wc ', 'E_ATTRIBUTE', 5],
  ])('%s: %s at %i', (text, code, at) => {
    const found = refusal(text);
    expect(found.code).toBe(code);
    expect(found.lines[2]).toBe(`  ${' '.repeat(at)}^`);
    expect(found.lines).toHaveLength(code === 'E_MAP_SYNTAX' ? 4 : 3);
  });

  it.each([
    ['a bar2=wc', 'expected bar0 to bar5'],
    ['bar7=wc', 'a PCI device has bar0 to bar5'],
    ['bar2 =wc', 'expected ":" and a range, or "=" and an attribute'],
    ['bar2:0-64K', 'expected "=" and an attribute'],
    ['bar2:64K=wc', 'expected a range, as in 0-64K, 64K- or 64K+4K'],
    ['bar2:64K-4K=wc', 'the range is empty: it starts at 64K and ends at 4K'],
    ['bar2:2+0xffffffffffffffff=wc', 'the range ends beyond 64 bits'],
  ])('%s: %s', (text, message) => {
    expect(refusal(text).lines[0]).toBe(`cannot use this map: ${message}`);
  });

  it('shows the last 60 characters before the mistake, and the caret below it', () => {
    const { lines } = refusal(`bar2:${'0'.repeat(100)}`);
    expect(lines.slice(1, 3)).toEqual([`  ${'0'.repeat(60)}`, `  ${' '.repeat(60)}^`]);
  });

  it('keeps the caret in place, and the terminal whole, whatever was typed', () => {
    expect(refusal('bar2:\u001B[31m-4K=wc').lines[1]).toBe('  bar2:?[31m-4K=wc');
    const far = refusal(`bar2:${'0'.repeat(500)}x-4K=wc`);
    expect(far.lines[1]?.length).toBeLessThanOrEqual(92);
  });

  it('reads back what it is given', () => {
    const size = fc.bigInt(0n, 1n << 40n);
    fc.assert(
      fc.property(fc.nat(5), size, size, fc.constantFrom(...ATTRIBUTES), (bar, a, b, attribute) => {
        const [start, end] = a < b ? [a, b] : [b, a + 1n];
        const text = `bar${bar}:${formatSize(start)}-${formatSize(end)}=${attribute}`;
        expect(parseMap(text)).toEqual({ bar, start, end, attribute, text });
      }),
    );
  });

  it('throws nothing but its own error', () => {
    const piece = fc.constantFrom(
      'bar',
      '2',
      ':',
      '-',
      '+',
      '=',
      'wc',
      'device',
      '64K',
      '0x',
      '1.5',
      'M',
      'B',
      '..',
      ' ',
      'ff',
      'uc',
      '9',
      'é',
    );
    const text = fc.oneof(
      fc.array(piece, { maxLength: 9 }).map((pieces) => pieces.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(text, (written) => {
        expect(textOf(written)).toBe(written);
      }),
      { numRuns: randomRuns(3000) },
    );
  });
});
