import { beforeAll, describe, expect, test } from 'vitest';
import { x86 } from '../memattr/index.ts';
import type { Report } from '../tool/report/report.ts';
import { proofOf } from '../tool/report/proof.ts';
import { parseReport } from '../tool/report/schema.ts';
import { countAgain } from './count-again.ts';
import { findings, inOneBoot, insideScript } from './support.ts';
import type { Finished } from './support.ts';

const SMALL = ['-d', '0000:01:00.0'] as const;
/** Each window a block of 2 MiB, in a BAR that is large enough for several. */
const BLOCKS = [
  '-d',
  '0000:03:00.0',
  '-m',
  'bar2:0-2M=device',
  '-m',
  'bar2:2M-4M=wc',
  '-m',
  'bar2:4M-6M=default',
] as const;
const JSON_REPORT = ['--json', '-'] as const;

function reportOf(done: Finished | undefined): Report {
  return JSON.parse(done?.stdout ?? '') as Report;
}

function windowsOf(report: Report): Report['windows'] {
  return report.windows.filter(({ source }) => source === undefined);
}

describe('verify on AMD, patched kernel', () => {
  let pages: Finished | undefined;
  let blocks: Finished | undefined;
  let text: Finished | undefined;
  let whole: Finished | undefined;
  beforeAll(async () => {
    [pages, blocks, text, whole] = await inOneBoot(
      [
        [
          'verify',
          ...SMALL,
          '-m',
          'bar2:0-64K=device',
          '-m',
          'bar2:64K-128K=wc',
          '-m',
          'bar2:128K-192K=default',
          ...JSON_REPORT,
        ],
        ['verify', ...BLOCKS, ...JSON_REPORT],
        ['verify', ...SMALL],
        ['verify', ...SMALL, '-m', 'bar2:0-4M=wc', '--whole', ...JSON_REPORT],
      ],
      { arch: 'x86-amd' },
    );
  });

  test.each([
    ['4K', (): Finished | undefined => pages, 4096],
    ['2M', (): Finished | undefined => blocks, 2 << 20],
  ])('at %s all three attributes are programmed as predicted, in both tables', (_name, done, blockSize) => {
    const report = reportOf(done());
    expect(done()?.code).toBe(0);
    expect([report.summary.mismatch, report.summary.skipped]).toEqual([0, 0]);
    expect(report.platform).toMatchObject({ kind: 'testbed', cookies: true, nestedPaging: 'npt' });
    expect(
      windowsOf(report).map(({ attribute, hostVma, stage2 }) => [attribute, hostVma.programmed, stage2.programmed]),
    ).toEqual([
      ['device', 'UC', 'NPT UC'],
      ['wc', 'WC', 'NPT WC'],
      ['default', 'UC-', 'NPT WB'],
    ]);
    for (const { hostVma, stage2 } of report.windows)
      expect([hostVma.programmed, stage2.programmed]).toEqual([hostVma.predicted, stage2.predicted]);
    for (const { stage2, mtrr } of windowsOf(report)) expect([stage2.blockSize, mtrr]).toEqual([blockSize, 'UC']);
  });

  test('every stage-1 type is asked by every probe, and every check says what the guest gets', () => {
    const { checks } = reportOf(pages);
    for (const window of [0, 1, 2]) {
      for (const { name } of x86.stage1Types)
        expect(
          checks.filter((check) => check.window === window && check.stage1 === name).map(({ probe }) => probe),
        ).toEqual(x86.probes);
    }
    const gets = (window: number): string =>
      x86.stage1Types
        .map(({ name }) => checks.find((check) => check.window === window && check.stage1 === name)?.effective)
        .join(' ');
    // UC UC- WC WP WT WB, with NPT UC, WC, WB and MTRRs that say UC.
    expect([gets(0), gets(1), gets(2)]).toEqual(['UC UC WC UC UC UC', 'UC WC WC UC UC WC', 'UC UC WC UC UC UC']);
  });

  test('the verdict rests on what was programmed, and nothing else', () => {
    const report = parseReport(pages?.stdout ?? '');
    const { stage2, checks, pages: covered, notProven } = proofOf(report);
    expect([stage2, checks.type, notProven]).toEqual([{ shown: 3, of: 3 }, { shown: 0, of: 0 }, []]);
    expect(report.checks.filter(({ speaksOf }) => speaksOf === 'type')).toEqual([]);
    expect(countAgain(pages?.stdout ?? '')).toEqual(checks.type);
    expect(covered).toMatchObject({ touched: 15, unlike: 0, readBack: 15, of: 48 });
    expect(text?.stdout).toMatch(/^– observed {4}by 0 of 270 checks: none could tell one memory type from another$/m);
    expect(proofOf(parseReport(whole?.stdout ?? '')).pages).toEqual({
      of: 1024,
      touched: 1024,
      unlike: 0,
      readBack: 1024,
    });
  });

  test('the report says that nothing observed a type, and that device is not strict on AMD', () => {
    const report = reportOf(pages);
    expect(report.limits?.join('\n')).toMatch(/no probe observed a memory type: qemu-/);
    expect(windowsOf(report).map(({ strictness }) => strictness?.strict)).toEqual([false, false, false]);
    expect(text?.stdout).toMatch(/not strict: a guest that asks for WC gets WC: AMD's nested paging/);
    expect(text?.stdout).toMatch(/not proven {2}no probe observed a memory type/);
    const timed = report.checks.filter(({ probe }) => probe === 'timing-class' || probe === 'store-bandwidth');
    expect(new Set(timed.map(({ verdict }) => verdict))).toEqual(new Set(['unobservable']));
  });
});

test('verify on AMD notices a KVM that swaps UC and WC', async () => {
  const [done] = await inOneBoot([['verify', ...SMALL, ...JSON_REPORT]], { arch: 'x86-amd', kernel: 'wrong-type' });
  expect(done?.code).toBe(1);
  const report = reportOf(done);
  expect(windowsOf(report).map(({ stage2 }) => [stage2.predicted, stage2.programmed])).toEqual([
    ['NPT UC', 'NPT WC'],
    ['NPT WC', 'NPT UC'],
    ['NPT WB', 'NPT WB'],
  ]);
  expect(new Set(report.checks.filter(({ window }) => window < 2).map(({ verdict }) => verdict))).toEqual(
    new Set(['mismatch']),
  );
  // What the guest gets is that of what was programmed, not of what should have been.
  expect(report.checks.find(({ window, stage1 }) => window === 0 && stage1 === 'UC-')?.effective).toBe('WC');
});

describe('a stock kernel on AMD', async () => {
  const [cookie, legacy, sysfs] = await inOneBoot(
    [
      ['verify', ...SMALL],
      ['verify', ...SMALL, '--source', 'legacy', ...JSON_REPORT],
      ['verify', ...SMALL, '--source', 'sysfs', ...JSON_REPORT],
    ],
    { arch: 'x86-amd', kernel: 'stock' },
  );

  test('refuses a cookie, names what it lacks and ends with 2', () => {
    expect(cookie?.code).toBe(2);
    expect(cookie?.stderr).toMatch(/E_COOKIE_UNSUPPORTED.*VFIO_DEVICE_FEATURE_MMAP_COOKIE/);
  });

  test('gives verdicts for legacy offsets', () => {
    expect(windowsOf(reportOf(legacy)).map(({ hostVma, stage2 }) => [hostVma.programmed, stage2.programmed])).toEqual([
      ['UC-', 'NPT WB'],
    ]);
    expect(legacy?.code).toBe(0);
  });

  test("finds out that sysfs's write-combining file is none while vfio-pci has the BAR mapped", () => {
    const [device, wc] = windowsOf(reportOf(sysfs));
    expect(device?.hostVma).toMatchObject({ predicted: 'UC-', programmed: 'UC-' });
    expect(wc?.hostVma).toMatchObject({ predicted: 'WC', programmed: 'UC-', reserved: ['UC-'] });
    expect(sysfs?.code).toBe(1);
  });
});

describe('host mappings of one BAR on x86, live at once', () => {
  let found: ReadonlyMap<string, unknown> = new Map();
  beforeAll(async () => {
    const { stdout, stderr } = await insideScript('memtypes', ['0000:03:00.0'], { arch: 'x86-amd' });
    found = findings(stdout);
    if (found.size < 14) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
  });

  test.each([
    ['pages', '4K'],
    ['large pages', '2048K'],
    ['huge pages', '1048576K'],
  ])('in every order of mapping, as %s: WC is WC, the others are not, and nothing stays reserved', (name, size) => {
    expect(found.get(`${name}, orders`)).toBe(6);
    expect(found.get(`${name}, in every order`)).toBe(
      `device: UC ${size}, on record UC UC-; legacy: UC- ${size}, on record UC-; wc: WC ${size}, on record UC- WC; afterwards as before`,
    );
  });

  test.each([
    ['device over wc', 'ok'],
    ['wc over device', 'ok'],
    ['legacy over wc', 'ok'],
    ['wc over legacy', 'ok'],
    ['legacy over device', 'ok'],
    ['device over legacy', 'ok'],
    ['wc over wc', 'ok'],
  ])('one page: %s is %s', (name, expected) => {
    expect(found.get(name)).toBe(expected);
  });

  test('nothing stays reserved after all that', () => {
    expect(found.get('afterwards')).toBe(true);
  });
});
