import { describe, expect, test } from 'vitest';
import { MODELS } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { partialCoverage, proofOf } from '../tool/report/proof.ts';
import type { Check, Coverage, Report } from '../tool/report/report.ts';
import { renderReport } from '../tool/report/text.ts';
import { coverageOf, otherPages, pageChecks } from '../tool/verify/coverage.ts';
import { cellOf, planChecks } from '../tool/verify/plan.ts';
import type { PlannedCheck } from '../tool/verify/plan.ts';
import type { Stage2Dump } from '../tool/verify/read-back/stage2.ts';
import type { OpenWindow } from '../vmm/vfio/open-windows.ts';
import { codeOf } from './stub-port.ts';
import { sampleReport } from './report-sample.ts';

const PAGE = 4096;
const { arm64, x86 } = MODELS;
const ARM: Platform = { fwb: true, faultForwarding: true, mte: false };
const X86: Platform = { fwb: null, faultForwarding: null, mte: false, nestedPaging: 'npt', mtrr: 'UC' };

const WINDOW = { gpa: 0x1_0000_0000n, length: 0x10_0000n, access: 'mapped' } as OpenWindow;

describe('the other pages of a window', () => {
  test('are the last and a few between', () => {
    expect(otherPages(0x10_0000n, PAGE, false)).toEqual([0x4_0000n, 0x8_0000n, 0xc_0000n, 0xf_f000n]);
    expect(otherPages(0x10_0000n, 0x1_0000, false)).toEqual([0x4_0000n, 0x8_0000n, 0xc_0000n, 0xf_0000n]);
  });

  test.each([
    [1, []],
    [2, [1]],
    [3, [1, 2]],
    [5, [1, 2, 3, 4]],
  ])('of %i pages: each at most once', (pages, expected) => {
    expect(otherPages(BigInt(pages * PAGE), PAGE, false)).toEqual(expected.map((page) => BigInt(page * PAGE)));
  });

  test('are all of them where the whole is asked for, as far as that ends', () => {
    expect(otherPages(0x10_0000n, PAGE, true)).toHaveLength(255);
    expect(codeOf(() => otherPages(1n << 33n, PAGE, true))).toBe('E_USAGE');
    expect(otherPages(1n << 33n, PAGE, false)).toHaveLength(4);
    expect(otherPages(1n << 32n, PAGE, true)).toHaveLength((1 << 20) - 1);
    expect(() => otherPages((1n << 32n) + 4096n, PAGE, true)).toThrow(
      '--whole would touch 1048577 pages of a window; expected at most 1048576. Choose a smaller window with --map.',
    );
  });
});

function checksOn(platform: Platform, attribute: 'wc' | 'device'): readonly PlannedCheck[] {
  return pageChecks(arm64, planChecks(arm64, platform, 'cookie', [{ attribute, access: 'mapped' }]), [4096n, 8192n]);
}

describe('the check of a page', () => {
  test('is an unaligned load, which shows the type, and stores nothing', () => {
    for (const check of checksOn(ARM, 'device')) {
      expect([check.probe, check.stage1.name, check.registers]).toEqual(['unaligned-load', 'Normal-NC', true]);
      expect(check.prediction).toMatchObject({ kind: 'outcome', outcome: 'alignment-fault' });
    }
    expect(checksOn(ARM, 'wc').map((check) => cellOf(check, arm64.stage1Types, 0n).offset)).toEqual([4096n, 8192n]);
  });

  test('is aligned where an unaligned one might end the VM', () => {
    const stock = { ...ARM, faultForwarding: false };
    expect(new Set(checksOn(stock, 'device').map(({ probe }) => probe))).toEqual(new Set(['data-read']));
    expect(new Set(checksOn(stock, 'wc').map(({ probe }) => probe))).toEqual(new Set(['unaligned-load']));
  });

  test('is none where the first page has none of that kind', () => {
    const first = planChecks(arm64, ARM, 'cookie', [{ attribute: 'wc', access: 'mapped' }]);
    const others = first.filter(({ probe, stage1 }) => probe !== 'unaligned-load' || stage1.name !== 'Normal-NC');
    expect(pageChecks(arm64, others, [4096n])).toEqual([]);
  });

  test('that is aligned works, or the device aborts it', () => {
    const [check] = checksOn({ ...ARM, faultForwarding: false }, 'device');
    expect(check?.prediction).toEqual({
      kind: 'one-of',
      outcomes: ['ok', 'external-abort'],
      why: 'aligned loads work on every memory type',
    });
  });

  test('is there on x86, to be read back', () => {
    const first = planChecks(x86, X86, 'cookie', [{ attribute: 'wc', access: 'mapped' }]);
    expect(pageChecks(x86, first, [4096n]).map(({ stage1 }) => stage1.name)).toEqual(['WC']);
  });
});

function range(page: number, pages: number): Extract<Stage2Dump, { kind: 'read' }>['ranges'][number] {
  const start = WINDOW.gpa + BigInt(page * PAGE);
  return { start, end: start + BigInt(pages * PAGE), level: 3, memoryType: 'Normal-NC' };
}

function seen(...verdicts: Check['verdict'][]): Check[] {
  return verdicts.map((verdict) => Object.assign({}, sampleReport().checks[0], { verdict, offset: 4096 }));
}

describe('coverage', () => {
  test.each<[string, readonly (readonly [number, number])[], number]>([
    ['nothing', [], 0],
    [
      'pages apart',
      [
        [0, 1],
        [255, 1],
      ],
      2,
    ],
    [
      'the same pages, of several VMs',
      [
        [0, 1],
        [128, 4],
        [0, 1],
        [129, 2],
      ],
      5,
    ],
    [
      'pages in no order',
      [
        [128, 4],
        [0, 1],
        [64, 2],
      ],
      7,
    ],
    [
      'what goes beyond the window',
      [
        [-4, 6],
        [254, 100],
      ],
      4,
    ],
    ['a block over all of it', [[-256, 1024]], 256],
  ])('counts pages that were read back: %s', (_name, ranges, pages) => {
    const dump = { kind: 'read', ranges: ranges.map(([page, count]) => range(page, count)) } as const;
    expect(coverageOf(WINDOW, [], dump, PAGE).readBack).toBe(pages);
  });

  test('counts no pages of a window that traps', () => {
    const dump = { kind: 'read', ranges: [range(0, 1)] } as const;
    expect(coverageOf({ ...WINDOW, access: 'trapped' }, [], dump, PAGE).readBack).toBeNull();
  });

  test('counts what was touched, and what was not as predicted', () => {
    const none = { kind: 'unavailable', why: 'no root' } as const;
    expect(coverageOf(WINDOW, seen('match', 'mismatch', 'unobservable'), none, PAGE)).toEqual({
      pageSize: PAGE,
      pages: 256,
      touched: 4,
      unlike: 1,
      readBack: null,
    });
  });
});

function covered(coverage: Coverage): Report {
  const [first, ...others] = sampleReport().windows;
  if (first === undefined) throw new Error('no window');
  return sampleReport({ windows: [{ ...first, coverage }, ...others] });
}

describe('a report', () => {
  const partly = covered({ pageSize: PAGE, pages: 256, touched: 5, unlike: 1, readBack: 16 });

  test('says of how many pages it speaks', () => {
    const text = renderReport(partly, { columns: 400, color: false });
    expect(text).toContain('stage 2 as predicted in 3 of 3 windows (16 of 256 pages), ');
    expect(text).toContain('checks that can tell types apart (4 of 256 pages); ');
    expect(proofOf(sampleReport()).pages).toBeNull();
  });

  test('says that this is not all, and how to touch all', () => {
    expect(partialCoverage(partly)).toMatch(/^5 of 256 pages were touched: .*--whole/);
    expect(partialCoverage(covered({ pageSize: PAGE, pages: 4, touched: 4, unlike: 0, readBack: 4 }))).toBeNull();
    expect(partialCoverage(sampleReport())).toBeNull();
  });

  test('names the pages that are not as predicted', () => {
    const checks = sampleReport().checks.filter(({ window, probe }) => window === 0 && probe === 'unaligned-load');
    const wrong = checks.map((check) =>
      Object.assign({}, check, { verdict: 'mismatch', observed: 'ok', note: 'why', offset: 0xf000 } as const),
    );
    const text = renderReport(sampleReport({ checks: [...sampleReport().checks, ...wrong] }), {
      columns: 400,
      color: false,
    });
    expect(text).toContain('✗ mismatch  bar2:0-64K=device at +60K: unaligned-load');
  });
});
