/** Where the x86 model changes its answer, and what it says to what it refuses. */
import { describe, expect, test } from 'vitest';
import {
  decodePat,
  decodePatMsr,
  encodePatMsr,
  lookUpPat,
  mayBePaced,
  usualMtrr,
  x86,
  x86Stage2Of,
} from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { predictX86 } from '../memattr/x86/predict.ts';

describe('refuses', () => {
  test.each([-1, 256, 0.5, Number.NaN])('%d as an entry of a PAT', (byte) => {
    expect(() => decodePat(byte)).toThrow(new RangeError(`${byte} is no entry of a PAT; expected a byte.`));
  });

  test.each([-1n, 1n << 64n])('%d as a PAT', (msr) => {
    expect(() => decodePatMsr(msr)).toThrow(new RangeError(`${msr} is no value of IA32_PAT; expected 64 bits.`));
  });

  test('other than eight types as a PAT', () => {
    expect(() => encodePatMsr(['WB', 'UC'])).toThrow(new RangeError('2 types make no PAT; expected 8.'));
    const pat = decodePatMsr(0n).slice(0, 7);
    const bits = { pwt: true, pcd: true, pat: true };
    expect(() => lookUpPat(bits, pat)).toThrow(new RangeError('a PAT has 8 entries, not 7.'));
    expect(lookUpPat(bits, decodePatMsr(6n << 56n))).toEqual({ kind: 'type', type: 'WB' });
  });

  test('a name that stage 2 does not have', () => {
    expect(() => x86Stage2Of('EPT UC-')).toThrow(
      /^x86 has no stage-2 type EPT UC-; expected EPT UC, EPT UC IPAT, EPT WC, .*NPT WT, NPT WB, unknown\.$/,
    );
  });

  test('a probe of another architecture', () => {
    const stage2 = { paging: 'npt', type: 'WC' } as const;
    expect(() => predictX86('fetch', { stage2, effective: ['WC'] })).toThrow(
      new RangeError(`x86 has no probe fetch; expected ${x86.probes.join(', ')}.`),
    );
  });
});

describe('where more than one type is possible', () => {
  const npt = { paging: 'npt', type: 'WB' } as const;
  const why = (probe: 'atomic' | 'nt-store' | 'nt-load', ...effective: readonly string[]): string =>
    predictX86(probe, { stage2: npt, effective }).why;

  test('a locked access is sure to lock a line where all are write-back', () => {
    expect(why('atomic', 'WB')).toMatch(/locks a cache line$/);
    expect(why('atomic', 'WB', 'WT')).toMatch(/locks the bus$/);
  });

  test("a non-temporal store's hint is void where all ignore it", () => {
    for (const types of [['UC'], ['CD'], ['WP'], ['UC', 'WP', 'CD']])
      expect(why('nt-store', ...types)).toMatch(/^MOVNTI is an ordinary store here/);
    expect(why('nt-store', 'UC', 'WC')).toMatch(/^MOVNTI stores through/);
  });

  test('a non-temporal load may read ahead where one combines', () => {
    expect(why('nt-load', 'UC', 'WC')).toMatch(/^MOVNTDQA may read ahead/);
    expect(why('nt-load', 'WC+')).toMatch(/^MOVNTDQA may read ahead/);
    expect(why('nt-load', 'UC', 'WB')).toMatch(/^MOVNTDQA is an ordinary load/);
  });

  test('one timing may be both', () => {
    const none = { loads: null, stores: null };
    expect(mayBePaced('WB', 'WB', none)).toBe(true);
    expect(mayBePaced('WB', 'WB', { loads: 'alike', stores: null })).toBe(true);
    expect(mayBePaced('WB', 'WB', { loads: null, stores: 'alike' })).toBe(true);
    expect(mayBePaced('WB', 'WB', { loads: null, stores: 'faster' })).toBe(false);
    expect(mayBePaced('WB', 'WB', { loads: 'slower', stores: null })).toBe(false);
  });
});

test("the VMM's own accesses are combined by the vendor's rule", () => {
  const platform: Platform = { fwb: null, faultForwarding: null, mte: false, mtrr: 'WP' };
  const type = (nestedPaging: 'ept' | 'npt' | null): string =>
    x86.trapped.effective('default', 'cookie', { ...platform, nestedPaging });
  // UC- under WP: APM vol. 2 table 7-11, SDM vol. 3 table 13-7.
  expect([type('npt'), type('ept'), type(null)]).toEqual(['CD', 'WC', 'WC']);
});

test("what firmware's MTRRs usually say", () => {
  expect((['memory', 'cookie', 'legacy', 'sysfs'] as const).map(usualMtrr)).toEqual(['WB', 'UC', 'UC', 'UC']);
});
