import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePatMsr } from '../memattr/index.ts';
import { parseSpteTrace, rangesOf, typeOfSpte } from '../tool/verify/read-back/spte.ts';
import type { SpteEvent } from '../tool/verify/read-back/spte.ts';
import { readRange } from '../tool/verify/read-back/stage2.ts';
import type { Stage2Range } from '../tool/verify/read-back/stage2.ts';
import { randomRuns } from './random-runs.ts';

const HEADER = `# tracer: nop
#
# entries-in-buffer/entries-written: 3/3   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#           TASK-PID     CPU#  |||||     TIMESTAMP  FUNCTION
#              | |         |   |||||        |         |
`;

/** As KVM with the series wrote them for windows default, device (4 KiB), wc (2 MiB). */
const EPT = `${HEADER}            node-312     [001] d..1.    17.204415: kvm_mmu_set_spte: gfn 100000 spte 80a00000c0000f07 (rwxu) level 1 at 1041000
            node-312     [001] d..1.    17.204420: kvm_mmu_set_spte: gfn 100011 spte 80a00000c0011f47 (rwxu) level 1 at 1041088
  my - 1 vcpu 0-9        (    300) [000] .....    17.204433: kvm_mmu_set_spte: gfn 100400 spte 80a00000c0400f8f (rw--) level 2 at ffff10
`;

const event = (gfn: bigint, spte: bigint, level: number): SpteEvent => ({
  pid: 1,
  gfn,
  spte,
  level,
  writable: true,
  executable: true,
});
const spteLine = ({ pid, gfn, spte, level, writable, executable }: SpteEvent, comm: string): string =>
  `${comm.padStart(16)}-${String(pid).padEnd(7)} [000] d..1.    17.204415: kvm_mmu_set_spte: gfn ${gfn.toString(16)} spte ${spte.toString(16)} (r${writable ? 'w' : '-'}${executable ? 'x' : '-'}u) level ${level} at 1000`;

const word64 = fc.bigInt(0n, (1n << 64n) - 1n);
const anyEvent = fc.record({
  pid: fc.nat(4_194_304),
  gfn: fc.bigInt(0n, (1n << 40n) - 1n),
  spte: word64,
  level: fc.constantFrom(1, 2, 3),
  writable: fc.boolean(),
  executable: fc.boolean(),
});

describe('the trace', () => {
  test('becomes events', () => {
    expect(parseSpteTrace(EPT)).toEqual({
      events: [
        { pid: 312, gfn: 0x10_0000n, spte: 0x80a0_0000_c000_0f07n, level: 1, writable: true, executable: true },
        { pid: 312, gfn: 0x10_0011n, spte: 0x80a0_0000_c001_1f47n, level: 1, writable: true, executable: true },
        { pid: 9, gfn: 0x10_0400n, spte: 0x80a0_0000_c040_0f8fn, level: 2, writable: true, executable: false },
      ],
      incomplete: null,
    });
  });

  test('gives back what was written, whatever the task is called', () => {
    const comm = fc.string({ maxLength: 15 }).filter((name) => !/[\n\r\u2028\u2029]/.test(name));
    fc.assert(
      fc.property(fc.array(fc.tuple(anyEvent, comm)), (all) => {
        const { events, incomplete } = parseSpteTrace(
          `${HEADER}${all.map(([one, name]) => spteLine(one, name)).join('\n')}\n`,
        );
        expect(events).toEqual(all.map(([one]) => one));
        expect(incomplete).toBeNull();
      }),
    );
  });

  test('never throws, and passes over what is no such event', () => {
    fc.assert(
      fc.property(fc.nat(EPT.length - 1), fc.string({ minLength: 1, maxLength: 3 }), (at, garbage) => {
        expect(parseSpteTrace(garbage).events).toEqual([]);
        expect(
          parseSpteTrace(EPT.slice(0, at) + garbage + EPT.slice(at + garbage.length)).events.length,
        ).toBeLessThanOrEqual(3);
      }),
      { numRuns: randomRuns(500) },
    );
    expect(parseSpteTrace(`${HEADER}            node-312     [001] d..1.    17.2: kvm_exit: reason x\n`)).toEqual({
      events: [],
      incomplete: null,
    });
  });

  test.each([
    ['lost events', 'CPU:1 [LOST 12 EVENTS]', /LOST 12 EVENTS/],
    ['lost events, uncounted', 'CPU:0 [LOST EVENTS]', /LOST EVENTS/],
    ['a buffer that was too small', '# entries-in-buffer/entries-written: 5/9   #P:2', /kept 5 of 9 events/],
    [
      'another format',
      '            node-312     [001] d..1.    17.2: kvm_mmu_set_spte: gfn 100000 pte 7',
      /unknown line in the trace: node-312/,
    ],
    [
      'a level that no leaf has',
      '            node-312     [001] d..1.    17.2: kvm_mmu_set_spte: gfn 100000 spte 7 (rwxu) level 4 at 1000',
      /unknown line/,
    ],
  ])('says that it is not complete: %s', (_, line, why) => {
    expect(parseSpteTrace(`${line}\n${EPT}`).incomplete).toMatch(why);
    expect(parseSpteTrace(`${EPT}${line}\n`).events).toHaveLength(3);
  });
});

describe('an entry', () => {
  // Read back from KVM with the series, under an emulated CPU of either vendor.
  test.each([
    ['ept', 0x80a0_0000_c000_0f07n, 1, 'EPT UC'],
    ['ept', 0x80a0_0000_c001_1f47n, 1, 'EPT UC IPAT'],
    ['ept', 0x80a0_0000_c002_2f0fn, 1, 'EPT WC'],
    ['ept', 0x80a0_0000_c020_0fc7n, 2, 'EPT UC IPAT'],
    ['ept', 0x80a0_0000_c040_0f8fn, 2, 'EPT WC'],
    ['npt', 0xfd00_0e67n, 1, 'NPT WB'],
    ['npt', 0xfd01_1e7fn, 1, 'NPT UC'],
    ['npt', 0xfd02_2e6fn, 1, 'NPT WC'],
    ['npt', 0xfd20_0effn, 2, 'NPT UC'],
    ['npt', 0xfd40_0eefn, 2, 'NPT WC'],
    ['npt', 0xfd60_0ee7n, 2, 'NPT WB'],
  ] as const)('%s %d, level %i: %s', (paging, spte, level, type) => {
    expect(typeOfSpte({ spte, level }, paging)).toBe(type);
  });

  test('that maps nothing has no type', () => {
    expect([
      typeOfSpte({ spte: 0x8000_0000_0000_0000n, level: 1 }, 'ept'),
      typeOfSpte({ spte: 0x18n, level: 1 }, 'npt'),
    ]).toEqual([null, null]);
    // EPT has no present bit: executable alone maps.
    expect(typeOfSpte({ spte: 0x4n, level: 1 }, 'ept')).toBe('EPT UC');
    expect(typeOfSpte({ spte: 0x4n, level: 1 }, 'npt')).toBeNull();
  });

  test('of NPT is read by the host’s PAT, and a large one has its PAT bit elsewhere', () => {
    expect(typeOfSpte({ spte: 0x8bn, level: 1 }, 'npt')).toBe('NPT WP');
    expect(typeOfSpte({ spte: 0x8bn, level: 2 }, 'npt')).toBe('NPT WC');
    expect(typeOfSpte({ spte: 0x108bn, level: 2 }, 'npt')).toBe('NPT WP');
    expect(typeOfSpte({ spte: 0x0bn, level: 1 }, 'npt', decodePatMsr(0x0007_0406_0007_0406n))).toBe('NPT WT');
  });

  test('of EPT with a reserved type is named so', () => {
    expect(typeOfSpte({ spte: 0x17n, level: 1 }, 'ept')).toBe('reserved');
  });
});

/** What rangesOf must come to, in as many steps as there are pairs of events. */
function inTurn(events: readonly SpteEvent[]): readonly Stage2Range[] {
  return events.reduce<readonly Stage2Range[]>((ranges, one) => {
    const size = 4096n << BigInt(9 * (one.level - 1));
    const start = ((one.gfn * 4096n) / size) * size;
    const end = start + size;
    const memoryType = typeOfSpte(one, 'ept');
    const rest = ranges.flatMap((range) =>
      [
        { ...range, end: range.end < start ? range.end : start },
        { ...range, start: range.start > end ? range.start : end },
      ].filter((part) => part.start < part.end),
    );
    return memoryType === null ? rest : [...rest, { start, end, level: 4 - one.level, memoryType }];
  }, []);
}

const page = (index: number): bigint => BigInt(index) * 4096n;

describe('the guest-physical space', () => {
  test('reads as that of the other architecture', () => {
    const ranges = rangesOf(parseSpteTrace(EPT).events, 'ept');
    expect(readRange(ranges, 0x1_0000_0000n, 0x1_1000n, 4096)).toEqual({
      memoryType: 'EPT UC',
      blockSize: 4096,
      mixed: false,
    });
    expect(readRange(ranges, 0x1_0001_1000n, 0x1000n, 4096)).toEqual({
      memoryType: 'EPT UC IPAT',
      blockSize: 4096,
      mixed: false,
    });
    expect(readRange(ranges, 0x1_0000_0000n, 0x1_2000n, 4096)).toEqual({
      memoryType: null,
      blockSize: 4096,
      mixed: true,
    });
    expect(readRange(ranges, 0x1_0040_0000n, 0x20_0000n, 4096)).toEqual({
      memoryType: 'EPT WC',
      blockSize: 2 << 20,
      mixed: false,
    });
    expect(readRange(ranges, 0x2_0000_0000n, 0x20_0000n, 4096)).toEqual({
      memoryType: null,
      blockSize: null,
      mixed: false,
    });
  });

  test('a fault inside of a large page reports the page’s own frame or the faulting one', () => {
    expect(rangesOf([event(0x10_0433n, 0x0fn, 2)], 'ept')).toEqual([
      { start: 0x1_0040_0000n, end: 0x1_0060_0000n, level: 2, memoryType: 'EPT WC' },
    ]);
    expect(rangesOf([event(0x5_4321n, 0x0fn, 3)], 'ept')).toEqual([
      { start: 0x4000_0000n, end: 0x8000_0000n, level: 1, memoryType: 'EPT WC' },
    ]);
  });

  test('is what it is when each event is taken in turn and cut out of what was there', () => {
    const some = fc
      .tuple(fc.constantFrom(0n, 1n, 511n, 512n, 513n, 0x3_ffffn, 0x4_0000n, 0x4_0200n), fc.nat(3))
      .map(([base, more]) => base + BigInt(more));
    const sptes = fc.constantFrom(0x07n, 0x47n, 0x0fn, 0x77n, 0x00n);
    const events = fc.array(
      fc.tuple(some, sptes, fc.constantFrom(1, 1, 2, 3)).map(([gfn, spte, level]) => event(gfn, spte, level)),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(events, (all) => {
        expect(rangesOf(all, 'ept')).toEqual(inTurn(all).toSorted((a, b) => (a.start < b.start ? -1 : 1)));
      }),
      { numRuns: randomRuns(1000) },
    );
  });

  test('of 64 MiB in small pages, half of which a large one replaces, is that', () => {
    const pages = Array.from({ length: 1 << 14 }, (_, index) => event(BigInt(index), 0x07n, 1));
    const large = Array.from({ length: 16 }, (_, index) => event(BigInt(index << 9), 0x0fn, 2));
    const ranges = rangesOf([...pages, ...large], 'ept');
    expect(ranges.slice(0, 17).map(({ end, memoryType }) => [end, memoryType])).toEqual([
      ...large.map((_, index) => [BigInt(index + 1) << 21n, 'EPT WC']),
      [(1n << 25n) + 4096n, 'EPT UC'],
    ]);
    expect(ranges.length).toBe(16 + (1 << 13));
  });

  test('is what the last event about each page says', () => {
    const sptes = fc.constantFrom(0x07n, 0x47n, 0x0fn, 0x77n, 0x00n);
    const events = fc.array(
      fc.tuple(fc.nat(1500), sptes, fc.constantFrom(1, 2)).map(([gfn, spte, level]) => event(BigInt(gfn), spte, level)),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(events, (all) => {
        const expected = new Map<number, string | null>();
        for (const one of all) {
          const size = one.level === 1 ? 1 : 512;
          const first = Number(one.gfn) - (Number(one.gfn) % size);
          for (let index = first; index < first + size; index += 1) expected.set(index, typeOfSpte(one, 'ept'));
        }
        const ranges = rangesOf(all, 'ept');
        const found = Array.from({ length: 2048 }, (_, index) =>
          ranges
            .filter(({ start, end }) => start <= page(index) && page(index) < end)
            .map(({ memoryType }) => memoryType),
        );
        expect(found).toEqual(
          Array.from({ length: 2048 }, (_, index) => [expected.get(index) ?? null].filter((type) => type !== null)),
        );
      }),
      { numRuns: randomRuns(40) },
    );
  });
});
