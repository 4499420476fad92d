/** What only hardware shows of a type on x86: how long accesses take beside uncached ones, and whether a locked one locks the bus. */
import { describe, expect, test } from 'vitest';
import {
  PACES,
  excludedByBusLock,
  excludedByPaces,
  locksBus,
  mayBePaced,
  mayBeTimed,
  arm64,
  x86,
} from '../memattr/index.ts';
import type { Paces, Platform, Stage1Type } from '../memattr/index.ts';

const intel: Platform = { fwb: null, faultForwarding: false, mte: false, nestedPaging: 'ept', mtrr: 'UC' };
const amd: Platform = { ...intel, nestedPaging: 'npt' };

function stage1(name: string): Stage1Type {
  const found = x86.stage1Named(name);
  if (found === null) throw new Error(name);
  return found;
}

const ALL: readonly Paces[] = PACES.flatMap((loads) => PACES.map((stores) => ({ loads, stores })));

/** The paces that a type may have beside another, as `loads/stores`. */
function paces(type: string, reference: string): readonly string[] {
  return ALL.filter((seen) => mayBePaced(type, reference, seen)).map(({ loads, stores }) => `${loads}/${stores}`);
}

describe('a locked access', () => {
  test.each(['UC', 'UC-', 'CD', 'WC', 'WC+', 'WP', 'WT'])('to %s locks the bus', (type) => {
    expect(locksBus(type)).toBe(true);
  });

  test('to WB does not, and where two types are possible that differ, nobody knows', () => {
    expect(locksBus('WB')).toBe(false);
    expect(locksBus('WB or UC')).toBeNull();
    expect(locksBus('UC or WC')).toBe(true);
    expect(locksBus('unknown')).toBeNull();
    expect(locksBus('UC or unknown')).toBeNull();
    expect(locksBus('')).toBeNull();
  });

  test('that locked the bus excludes what makes the type write-back, and one that did not all else', () => {
    expect(excludedByBusLock(x86, intel, stage1('WB'), true)).toEqual(['EPT WB', 'EPT WB IPAT']);
    expect(excludedByBusLock(x86, intel, stage1('UC'), true)).toEqual(['EPT WB IPAT']);
    expect(excludedByBusLock(x86, amd, stage1('UC'), true)).toEqual([]);
    expect(excludedByBusLock(x86, intel, stage1('WB'), false)).toEqual(
      x86.stage2Types(intel).filter((type) => !type.startsWith('EPT WB')),
    );
  });
});

describe('timing beside uncached memory', () => {
  test.each([
    ['UC', ['alike/alike']],
    ['UC-', ['alike/alike']],
    ['CD', ['alike/alike']],
    ['WC', ['alike/faster']],
    ['WC+', ['alike/faster']],
    ['WP', ['faster/faster', 'faster/alike', 'faster/slower']],
    ['WT', ['faster/faster', 'faster/alike', 'faster/slower']],
    ['WB', ['faster/faster']],
  ])('%s', (type, expected) => {
    expect(paces(type, 'UC')).toEqual(expected);
  });

  test('is alike where stage 2 makes both the same, and the other way round where only the other is faster', () => {
    for (const type of ['UC', 'WC', 'WB']) expect(paces(type, type)).toEqual(['alike/alike']);
    expect(paces('UC', 'WB')).toEqual(['slower/slower']);
    expect(paces('UC', 'WC')).toEqual(['alike/slower']);
    expect(paces('WB', 'WC')).toEqual(['faster/faster']);
    expect(paces('UC', 'WT')).toEqual(['slower/faster', 'slower/alike', 'slower/slower']);
  });

  test('that was not measured excludes nothing, nor does a type that nobody knows', () => {
    expect(mayBePaced('WB', 'UC', { loads: null, stores: 'faster' })).toBe(true);
    expect(mayBePaced('WB', 'UC', { loads: null, stores: 'alike' })).toBe(false);
    expect(mayBePaced('WB', 'UC', { loads: 'alike', stores: null })).toBe(false);
    expect(paces('unknown', 'UC')).toHaveLength(9);
    expect(paces('WB', 'unknown')).toHaveLength(9);
    expect(paces('UC or WC', 'UC')).toEqual(['alike/faster', 'alike/alike']);
    expect(paces('UC', 'UC or WC')).toEqual(['alike/alike', 'alike/slower']);
  });

  test('tells the windows of Intel apart', () => {
    const combined: Paces = { loads: 'alike', stores: 'faster' };
    const same: Paces = { loads: 'alike', stores: 'alike' };
    expect(mayBeTimed(x86, intel, stage1('WC'), 'EPT UC IPAT', combined)).toBe(false);
    expect(mayBeTimed(x86, intel, stage1('WC'), 'EPT UC', combined)).toBe(true);
    expect(mayBeTimed(x86, intel, stage1('UC-'), 'EPT WC', combined)).toBe(true);
    expect(mayBeTimed(x86, intel, stage1('UC-'), 'EPT UC', combined)).toBe(false);
    expect(excludedByPaces(x86, intel, stage1('UC-'), combined)).toEqual(
      x86.stage2Types(intel).filter((type) => type !== 'EPT WC' && type !== 'EPT WP'),
    );
    // Whatever ignores the guest's type is alike throughout.
    expect(excludedByPaces(x86, intel, stage1('WC'), same)).toEqual(
      x86.stage2Types(intel).filter((type) => !type.endsWith('IPAT')),
    );
  });

  test('is nothing that arm64 has', () => {
    const type = arm64.stage1Types[0] ?? stage1('UC');
    const platform: Platform = { fwb: true, faultForwarding: true, mte: false };
    expect(excludedByPaces(arm64, platform, type, { loads: 'slower', stores: 'slower' })).toEqual([]);
  });
});
