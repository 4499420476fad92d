import { describe, expect, test } from 'vitest';
import { combineAmd, combineEpt, combineIntel, combineNpt, combinePats } from '../memattr/index.ts';
import type { MtrrType, PatType } from '../memattr/index.ts';
import { withCachesDisabled } from '../memattr/x86/mtrr.ts';
import { MTRR_TYPES } from '../memattr/model.ts';
import { PAT_TYPES } from '../memattr/x86/pat.ts';

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(what);
  return value;
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);
const mtrrOf = (name: string): MtrrType =>
  found(
    MTRR_TYPES.find((type) => type === name),
    `${name} is no MTRR type`,
  );
const patOf = (name: string): PatType =>
  found(
    PAT_TYPES.find((type) => type === name),
    `${name} is no PAT type`,
  );

/** A table as a manual has it: a heading, then rows of a name and what stands below each heading. */
function cellsOf(text: string): readonly { row: string; column: string; value: string }[] {
  const [head = '', ...rows] = text.trim().split('\n');
  return rows.flatMap((line) => {
    const [row = '', ...values] = words(line);
    return words(head).map((column, index) => ({
      row,
      column,
      value: found(values[index], `no cell ${row} ${column}`),
    }));
  });
}

// Intel SDM vol. 3, table 13-7. Down: MTRR; across: PAT.
const SDM_13_7 = cellsOf(`
         UC   UC-  WC   WT   WB   WP
  UC     UC   UC   WC   UC   UC   UC
  WC     UC   WC   WC   UC   WC   UC
  WT     UC   UC   WC   WT   WT   WP
  WB     UC   UC   WC   WT   WB   WP
  WP     UC   WC   WC   WT   WP   WP
`);

// AMD APM vol. 2, table 15-19. Down: guest; across: host.
const APM_15_19 = cellsOf(`
         UC   UC-  WC   WP   WT   WB
  UC     UC   UC   UC   UC   UC   UC
  UC-    UC   UC-  WC   UC   UC   UC
  WC     WC   WC   WC   WC+  WC+  WC+
  WP     UC   UC   UC   WP   UC   WP
  WT     UC   UC   UC   UC   WT   WT
  WB     UC   UC   WC   WP   WT   WB
`);

// AMD APM vol. 2, table 15-20. Down: both PATs together; across: MTRR.
const APM_15_20 = cellsOf(`
         UC   WC   WP   WT   WB
  UC     UC   CD   CD   CD   CD
  UC-    UC   WC   CD   CD   CD
  WC     WC   WC   WC   WC   WC
  WC+    WC   WC   WC+  WC+  WC+
  WP     UC   CD   WP   CD   WP
  WT     UC   CD   CD   WT   WT
  WB     UC   WC   WP   WT   WB
`);

// AMD APM vol. 2, table 7-11, as the list that it is: PAT, MTRRs, what they make.
const APM_7_11: readonly (readonly [string, string, string])[] = [
  ['UC', 'UC', 'UC'],
  ['UC', 'WC WP WT WB', 'CD'],
  ['UC-', 'UC', 'UC'],
  ['UC-', 'WC', 'WC'],
  ['UC-', 'WP WT WB', 'CD'],
  ['WC', 'UC WC WP WT WB', 'WC'],
  ['WP', 'UC', 'UC'],
  ['WP', 'WC', 'CD'],
  ['WP', 'WP', 'WP'],
  ['WP', 'WT', 'CD'],
  ['WP', 'WB', 'WP'],
  ['WT', 'UC', 'UC'],
  ['WT', 'WC WP', 'CD'],
  ['WT', 'WT WB', 'WT'],
  ['WB', 'UC', 'UC'],
  ['WB', 'WC', 'WC'],
  ['WB', 'WP', 'WP'],
  ['WB', 'WT', 'WT'],
  ['WB', 'WB', 'WB'],
];

describe('the tables', () => {
  test('Intel: PAT and MTRR, and EPT in the place of the MTRR', () => {
    expect(SDM_13_7).toHaveLength(30);
    for (const { row, column, value } of SDM_13_7) {
      expect(`${row} ${column} ${combineIntel(patOf(column), mtrrOf(row))}`).toBe(`${row} ${column} ${value}`);
      expect(combineEpt(patOf(column), { type: mtrrOf(row), ignorePat: false })).toBe(value);
    }
  });

  test('AMD: guest and host PAT', () => {
    expect(APM_15_19).toHaveLength(36);
    for (const { row, column, value } of APM_15_19)
      expect(`${row} ${column} ${combinePats(patOf(row), patOf(column))}`).toBe(`${row} ${column} ${value}`);
  });

  test('AMD: PAT and MTRR', () => {
    expect(APM_15_20).toHaveLength(35);
    for (const { row, column, value } of APM_15_20)
      expect(`${row} ${column} ${combineAmd(row === 'WC+' ? row : patOf(row), mtrrOf(column))}`).toBe(
        `${row} ${column} ${value}`,
      );
    const listed = APM_7_11.flatMap(([pat, mtrrs, value]) => words(mtrrs).map((mtrr) => ({ pat, mtrr, value })));
    expect(listed).toHaveLength(30);
    for (const { pat, mtrr, value } of listed)
      expect(`${pat} ${mtrr} ${combineAmd(patOf(pat), mtrrOf(mtrr))}`).toBe(`${pat} ${mtrr} ${value}`);
  });

  test('AMD: all three, cell by cell from the two tables', () => {
    for (const first of APM_15_19) {
      for (const mtrr of MTRR_TYPES) {
        const second = APM_15_20.find(({ row, column }) => row === first.value && column === mtrr);
        expect(combineNpt(patOf(first.row), patOf(first.column), mtrr)).toBe(second?.value);
      }
    }
  });
});

/** How much a type lets a CPU do with loads and with stores: 0 nothing, 1 combine stores, 2 and more: cache. */
const FREEDOM: Readonly<Record<string, number>> = { UC: 0, CD: 0, 'UC-': 0, WC: 1, 'WC+': 1, WP: 2, WT: 2, WB: 3 };
const freedom = (type: string): number => found(FREEDOM[type], type);

/** Cached, and more freely than one of them lets it be. */
const tooFree = (type: string, ...limits: readonly string[]): boolean =>
  freedom(type) > 1 && freedom(type) > Math.min(...limits.map(freedom));

describe('whatever is combined', () => {
  test('nothing is cached that one side does not let be cached', () => {
    const all = PAT_TYPES.flatMap((guest) =>
      PAT_TYPES.flatMap((host) => MTRR_TYPES.map((range) => ({ guest, host, range }))),
    );
    expect(all.filter(({ guest, range }) => tooFree(combineIntel(guest, range), guest, range))).toEqual([]);
    expect(all.filter(({ guest, host, range }) => tooFree(combineNpt(guest, host, range), guest, host, range))).toEqual(
      [],
    );
  });

  test("a guest's WC is write-combining, except where EPT ignores its PAT", () => {
    for (const range of MTRR_TYPES) {
      expect(combineEpt('WC', { type: range, ignorePat: false })).toBe('WC');
      for (const host of PAT_TYPES) expect(combineNpt('WC', host, range)).toMatch(/^WC\+?$/);
    }
  });

  test("a guest's UC is uncached, except where EPT ignores its PAT", () => {
    for (const range of MTRR_TYPES) {
      expect(combineEpt('UC', { type: range, ignorePat: false })).toBe('UC');
      for (const host of PAT_TYPES) expect(combineNpt('UC', host, range)).toMatch(/^(UC|CD)$/);
    }
  });

  test('WB of stage 2 leaves everything but UC- to the guest, and WB of the guest everything but UC- to the host', () => {
    for (const range of MTRR_TYPES)
      expect([combineIntel('WB', range), combineAmd('WB', range), combinePats('WB', range)]).toEqual([
        range,
        range,
        range,
      ]);
    for (const type of MTRR_TYPES) expect(combineIntel(type, 'WB')).toBe(type);
  });

  test('with IPAT the guest has no say', () => {
    for (const guest of PAT_TYPES)
      for (const type of MTRR_TYPES) expect(combineEpt(guest, { type, ignorePat: true })).toBe(type);
  });

  test('WC+ comes of nested paging only, and where the host would cache', () => {
    for (const guest of PAT_TYPES) for (const range of MTRR_TYPES) expect(combineAmd(guest, range)).not.toBe('WC+');
    const plus = PAT_TYPES.flatMap((guest) =>
      PAT_TYPES.filter((host) => combinePats(guest, host) === 'WC+').map((host) => `${guest} ${host}`),
    );
    expect(plus).toEqual(['WC WP', 'WC WT', 'WC WB']);
  });
});

describe('CR0.CD', () => {
  test('makes everything UC under EPT, IPAT or not', () => {
    for (const guest of PAT_TYPES)
      for (const type of MTRR_TYPES)
        for (const ignorePat of [true, false]) expect(combineEpt(guest, { type, ignorePat }, true)).toBe('UC');
  });

  test('makes CD of what would be cached under NPT, and leaves the rest', () => {
    for (const { row, column } of APM_15_19) {
      for (const range of MTRR_TYPES) {
        const type = combineNpt(patOf(row), patOf(column), range);
        expect(combineNpt(patOf(row), patOf(column), range, true)).toBe(freedom(type) > 1 ? 'CD' : type);
      }
    }
    expect(withCachesDisabled('WC+')).toBe('WC+');
  });
});
