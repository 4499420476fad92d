import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { type MapRequest, type Region, parseMap, planWindows } from '../vmm/memory/index.ts';
import { holesIn } from '../vmm/memory/windows.ts';
import { randomRuns } from './random-runs.ts';

const PAGE = 4096n;
const whole = (bar: number, size: bigint): Region => ({
  bar,
  kind: 'memory',
  size,
  mmappable: [{ offset: 0n, length: size }],
});
const REGIONS: readonly Region[] = [
  whole(0, 0x4000n),
  { bar: 1, kind: 'io', size: 0x100n, mmappable: [] },
  whole(2, 0x40_0000n),
  { bar: 3, kind: 'absent', size: 0n, mmappable: [] },
  // An MSI-X table in its third page.
  {
    bar: 4,
    kind: 'memory',
    size: 0x8000n,
    mmappable: [
      { offset: 0x3000n, length: 0x5000n },
      { offset: 0n, length: 0x2000n },
    ],
  },
  { bar: 5, kind: 'memory', size: 0x1000n, mmappable: [] },
];

const plan = (...maps: readonly string[]) =>
  planWindows(
    maps.map((map) => parseMap(map)),
    REGIONS,
    PAGE,
  );

describe('planWindows', () => {
  it('makes one window of each map, sorted by BAR and offset', () => {
    expect(plan('bar2:64K-=wc', 'bar2:0-64K=device', 'bar0=default')).toEqual([
      { bar: 0, offset: 0n, length: 0x4000n, attribute: 'default' },
      { bar: 2, offset: 0n, length: 0x1_0000n, attribute: 'device' },
      { bar: 2, offset: 0x1_0000n, length: 0x3f_0000n, attribute: 'wc' },
    ]);
    expect(plan()).toEqual([]);
  });

  it('does not merge neighbours with one attribute: the report shows what was asked', () => {
    expect(plan('bar2:0-4K=wc', 'bar2:4K-8K=wc')).toHaveLength(2);
  });

  it('maps the parts around a hole', () => {
    expect(plan('bar4:0-8K=wc', 'bar4:12K-=device')).toHaveLength(2);
  });

  it.each<[string, string[], string, string[]]>([
    ['an I/O BAR', ['bar1=wc'], 'E_MAP_REGION', ['BAR 1', 'I/O BAR', 'bar0 (16K), bar2 (4M), bar4 (32K)']],
    ['an absent BAR', ['bar3=wc'], 'E_MAP_REGION', ['BAR 3', 'absent']],
    ['a BAR without mmap', ['bar5=wc'], 'E_MAP_REGION', ['BAR 5', 'cannot be mapped']],
    ['a start behind the BAR', ['bar2:4M-=wc'], 'E_MAP_RANGE', ['leaves BAR 2', '4M', '0x0-0x3fffff']],
    ['an end behind the BAR', ['bar2:2M-5M=wc'], 'E_MAP_RANGE', ['did you mean bar2:2M-4M=wc?']],
    ['an unaligned start', ['bar2:1-4K=wc'], 'E_MAP_ALIGNMENT', ['pages of 4K', 'did you mean bar2:0-4K=wc?']],
    ['an unaligned end', ['bar2:4K-4097=wc'], 'E_MAP_ALIGNMENT', ['did you mean bar2:4K-8K=wc?']],
    [
      'a hole',
      ['bar4=wc'],
      'E_MAP_REGION',
      ['bytes 0x2000-0x2fff of BAR 4', 'MSI-X', 'bar4:0-8K=wc and bar4:12K-32K=wc'],
    ],
    ['nothing but a hole', ['bar4:8K-12K=wc'], 'E_MAP_REGION', ['0x2000-0x2fff', 'choose bytes outside']],
    [
      'an overlap',
      ['bar2:64K-=wc', 'bar2:0-68K=device'],
      'E_MAP_OVERLAP',
      ['bar2:0-68K=device and bar2:64K-=wc', '0x10000-0x10fff', '(4K)'],
    ],
    [
      'a map inside of another',
      ['bar2:4K-8K=wc', 'bar2=device'],
      'E_MAP_OVERLAP',
      ['bar2=device and bar2:4K-8K=wc', '0x1000-0x1fff'],
    ],
    ['the same map twice', ['bar2=wc', 'bar2=wc'], 'E_MAP_OVERLAP', ['0x0-0x3fffff']],
  ])('refuses %s', (_, maps, code, words) => {
    const refused = expect.objectContaining({ code, message: expect.any(String) });
    expect(() => plan(...maps)).toThrow(refused);
    for (const word of words) expect(() => plan(...maps)).toThrow(word);
  });

  it('refuses a BAR that is smaller than a page of 64K', () => {
    expect(() => planWindows([parseMap('bar0=wc')], REGIONS, 0x1_0000n)).toThrow(
      'BAR 0 has 16K, which is not a whole number of pages',
    );
  });

  it('keeps its advice to whole pages when a hole is not', () => {
    const region: Region = {
      bar: 0,
      kind: 'memory',
      size: 0x8000n,
      mmappable: [
        { offset: 0n, length: 0x2800n },
        { offset: 0x3800n, length: 0x4800n },
      ],
    };
    expect(() => planWindows([parseMap('bar0=wc')], [region], PAGE)).toThrow('bar0:0-8K=wc and bar0:16K-32K=wc');
  });

  it('says so when a device has nothing to map', () => {
    expect(() => planWindows([parseMap('bar0=wc')], [], PAGE)).toThrow('this device has no BAR that can be mapped');
  });
});

/** Sixteen pages, of which each bit is one half: the model has no arithmetic to get wrong. */
const HALVES = 32;
const HALF = PAGE / 2n;
const bits = (start: number, end: number) => Array.from({ length: HALVES }, (_, half) => half >= start && half < end);
const range = fc
  .tuple(fc.nat(HALVES), fc.nat(HALVES))
  .map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a + 1 }));

describe('range arithmetic against a bitmap', () => {
  it('holesIn', () => {
    fc.assert(
      fc.property(range, fc.array(range, { maxLength: 6 }), (wanted, parts) => {
        const holes = holesIn(
          { start: BigInt(wanted.from), end: BigInt(wanted.to) },
          parts.map(({ from, to }) => ({ offset: BigInt(from), length: BigInt(to - from) })),
        );
        const covered = bits(0, HALVES).map((_, bit) => parts.some(({ from, to }) => bit >= from && bit < to));
        const expected = bits(wanted.from, wanted.to).map((inside, bit) => inside && !covered[bit]);
        const found = bits(0, HALVES).map((_, bit) =>
          holes.some(({ start, end }) => BigInt(bit) >= start && BigInt(bit) < end),
        );
        expect(found).toEqual(expected);
        // Ascending, and maximal: two holes never touch.
        expect(holes.every(({ start }, index) => index === 0 || start > (holes[index - 1]?.end ?? 0n))).toBe(true);
      }),
    );
  });

  it('planWindows accepts exactly what the bitmap allows, and refuses with the right code', () => {
    const request = fc.tuple(range, fc.boolean()).map(([{ from, to }, open]): MapRequest => ({
      bar: 0,
      start: BigInt(from) * HALF,
      end: open ? null : BigInt(to) * HALF,
      attribute: 'wc',
      text: `bar0:${from}-${to}=wc`,
    }));
    const mappable = fc.array(range, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 4 }),
        mappable,
        fc.integer({ min: 1, max: HALVES }),
        (requests, parts, size) => {
          const region: Region = {
            bar: 0,
            kind: 'memory',
            size: BigInt(size) * HALF,
            mmappable: parts.map(({ from, to }) => ({ offset: BigInt(from) * HALF, length: BigInt(to - from) * HALF })),
          };
          const spans = requests.map(({ start, end }) => ({
            from: Number(start / HALF),
            to: end === null ? size : Number(end / HALF),
          }));
          const wrong = {
            E_MAP_RANGE: spans.some(({ from, to }) => from >= size || to > size),
            E_MAP_ALIGNMENT: spans.some(({ from, to }) => from % 2 !== 0 || to % 2 !== 0),
            E_MAP_REGION: spans.some(({ from, to }) =>
              bits(from, to).some((wanted, bit) => wanted && !parts.some((part) => bit >= part.from && bit < part.to)),
            ),
            E_MAP_OVERLAP: bits(0, HALVES).some(
              (_, bit) => spans.filter(({ from, to }) => bit >= from && bit < to).length > 1,
            ),
          };
          const planned = spans
            .toSorted((a, b) => a.from - b.from)
            .map(({ from, to }) => ({
              bar: 0,
              offset: BigInt(from) * HALF,
              length: BigInt(to - from) * HALF,
              attribute: 'wc',
            }));
          const allowed = Object.entries(wrong).flatMap(([code, is]) => (is ? [code] : []));
          expect(allowed.length > 0 ? allowed : [planned]).toContainEqual(outcome(requests, region));
        },
      ),
      { numRuns: randomRuns(2000) },
    );
  });
});

function outcome(requests: readonly MapRequest[], region: Region) {
  try {
    return planWindows(requests, [region], PAGE);
  } catch (error) {
    if (error instanceof WcvmmError) return error.code;
    throw error;
  }
}
