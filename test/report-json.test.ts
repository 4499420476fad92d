import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { formatReport, writeWhole } from '../tool/report/json.ts';
import { type Check, type Report, VERDICTS, reportWindow, summarise } from '../tool/report/report.ts';
import { exitCodeOf, worstOf } from '../tool/report/proof.ts';
import { parseReport } from '../tool/report/schema.ts';
import { benchReport, changeChecks, sampleReport, sampleWindow } from './report-sample.ts';

const sample = sampleReport();
const { device } = sample;
const [check] = sample.checks as [Check];
const verdicts = (...list: readonly Check['verdict'][]): Check[] =>
  list.map((verdict) => Object.assign({}, check, { verdict }));

describe('summary and exit code', () => {
  it('counts every check once', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...VERDICTS)), (list) => {
        const summary = summarise(verdicts(...list));
        expect(Object.values(summary).reduce((a, b) => a + b, 0)).toBe(list.length);
        for (const verdict of VERDICTS) expect(summary[verdict]).toBe(list.filter((other) => other === verdict).length);
      }),
    );
  });

  it.each<[number, readonly Check['verdict'][]]>([
    [0, []],
    [0, ['match']],
    [0, ['match', 'erratum', 'unobservable', 'skipped']],
    [0, ['unobservable']],
    [1, ['match', 'mismatch']],
    [1, ['mismatch', 'skipped']],
    [2, ['skipped', 'skipped']],
  ])('exits %i after %j', (code, list) => {
    expect(exitCodeOf({ device, windows: [sampleWindow('wc', 0, 4096)], checks: verdicts(...list) })).toBe(code);
  });

  it('exits 1 when a window is not as predicted, even if no check noticed', () => {
    const window = sampleWindow('wc', 0, 4096);
    const wrong = { predicted: 'Normal-NC', programmed: 'Device-nGnRE' };
    expect(exitCodeOf({ device, windows: [window], checks: verdicts('match') })).toBe(0);
    expect(
      exitCodeOf({
        device,
        windows: [{ ...window, stage2: { ...wrong, blockSize: null } }],
        checks: verdicts('match'),
      }),
    ).toBe(1);
    expect(exitCodeOf({ device, windows: [{ ...window, hostVma: wrong }], checks: [] })).toBe(1);
  });

  describe('without what was programmed', () => {
    const { stage2, ...window } = sampleWindow('wc', 0, 4096);
    const blind = { ...window, stage2: { ...stage2, programmed: null } };
    const told = sample.checks.find(({ speaksOf }) => speaksOf === 'type');
    const control = { ...blind, control: true as const };

    it.each<[string, number, readonly Report['windows'][number][], readonly Check[]]>([
      ['a check that speaks of the type', 0, [blind], [{ ...check, ...told, window: 0 }]],
      ['none that does', 3, [blind], [{ ...check, window: 0 }]],
      ['one that does and did not match', 3, [blind], [{ ...check, ...told, window: 0, verdict: 'erratum' }]],
      ['one that does, of another window', 3, [blind, blind], [{ ...check, ...told, window: 1 }]],
      ['one of a control', 3, [blind, control], [{ ...check, ...told, window: 1 }]],
      ['none of a control', 0, [blind, control], [{ ...check, ...told, window: 0 }]],
      ['accesses that came to the VMM', 0, [{ ...blind, trapped: { exits: 1 } }], [{ ...check, window: 0 }]],
      ['accesses that should have come to it', 3, [{ ...blind, trapped: { exits: 0 } }], [{ ...check, window: 0 }]],
    ])('%s: exits %i', (_name, code, windows, checks) => {
      expect(exitCodeOf({ device, windows: [...windows], checks: [...checks] })).toBe(code);
    });
  });

  it('of several reports: could not run before a mismatch, that before not proven', () => {
    expect([worstOf([0, 3]), worstOf([3, 1, 0]), worstOf([1, 2, 3]), worstOf([])]).toEqual([3, 1, 2, 0]);
  });

  it('writes offsets as numbers, and refuses those that would not be exact', () => {
    const { hostVma, stage2 } = sampleWindow('wc', 0, 4096);
    const window = { bar: 2, offset: 0x1_0000n, length: 1n << 33n, attribute: 'wc' } as const;
    expect(reportWindow(window, { hostVma, stage2 })).toMatchObject({ offset: 0x1_0000, length: 2 ** 33 });
    expect(() => reportWindow({ ...window, length: 1n << 53n }, { hostVma, stage2 })).toThrow(RangeError);
  });
});

describe('reading and writing', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wcvmm-report-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('reads what it writes', () => {
    expect(parseReport(formatReport(sample))).toEqual(sample);
  });

  it('puts one check on a line', () => {
    expect(
      formatReport(sample)
        .split('\n')
        .filter((line) => line.includes('"stage1"')),
    ).toHaveLength(sample.checks.length);
    expect(formatReport({ ...sample, windows: [], checks: [] })).toContain('"checks": [],\n');
  });

  it('replaces a file as a whole and leaves nothing beside it', async () => {
    const path = join(directory, 'out.json');
    await writeFile(path, 'old');
    await writeWhole(path, formatReport(sample));
    expect(parseReport(await readFile(path, 'utf8'))).toEqual(sample);
    expect(await readdir(directory)).toEqual(['out.json']);
  });

  it('keeps the mode of a file that it replaces', async () => {
    const path = join(directory, 'mode.json');
    await writeFile(path, 'old');
    for (const mode of [0o600, 0o664]) {
      await chmod(path, mode);
      await writeWhole(path, formatReport(sample));
      expect((await stat(path)).mode & 0o777).toBe(mode);
    }
  });

  it('follows a symbolic link and keeps it', async () => {
    await writeFile(join(directory, 'target.json'), '');
    await symlink('target.json', join(directory, 'link.json'));
    await writeWhole(join(directory, 'link.json'), formatReport(sample));
    expect(await readFile(join(directory, 'target.json'), 'utf8')).toBe(formatReport(sample));
  });

  it('writes to what is there and no file', async () => {
    await expect(writeWhole('/dev/null', formatReport(sample))).resolves.toBeUndefined();
  });

  it('names the file that it cannot write', async () => {
    const path = join(directory, 'absent', 'out.json');
    await expect(writeWhole(path, formatReport(sample))).rejects.toMatchObject({
      code: 'E_REPORT',
      message: expect.stringContaining(path),
      cause: expect.objectContaining({ code: 'ENOENT' }),
    });
  });
});

type Fields = Record<string, unknown>;

/** The sample's JSON, changed. */
function json(change: (report: Fields) => void): string {
  const copy = JSON.parse(formatReport(sample)) as Fields;
  change(copy);
  return JSON.stringify(copy);
}

function at(report: Fields, list: 'windows' | 'checks'): Fields {
  return (report[list] as Fields[])[1] ?? {};
}

describe('parseReport', () => {
  it('keeps fields that a later version added', () => {
    const text = json((report) => {
      report['host'] = { name: 'later' };
      at(report, 'checks')['cycles'] = 12;
    });
    expect(parseReport(text)).toMatchObject({
      host: { name: 'later' },
      checks: expect.arrayContaining([expect.objectContaining({ cycles: 12 })]),
    });
  });

  it.each<[string, (report: Fields) => void, string]>([
    [
      'a later schema',
      (report) => void (report['schema'] = 'wcvmm.report/2'),
      'its schema is wcvmm.report/2, expected wcvmm.report/1. If a newer wcvmm wrote it',
    ],
    ['what run writes', (report) => void (report['schema'] = 'wcvmm.run/1'), 'That is what "wcvmm run" writes'],
    [
      'a comparison',
      (report) => void (report['schema'] = 'wcvmm.comparison/1'),
      'give the reports that it was made of',
    ],
    [
      'a schema of others',
      (report) => void (report['schema'] = 'evil\u001B[31m'),
      'its field schema has "evil\uFFFD[31m"',
    ],
    ['no schema', (report) => void delete report['schema'], 'schema'],
    [
      'codes for a terminal',
      (report) => void (at(report, 'checks')['note'] = 'all well\u001B[2J'),
      'checks.1.note has "all well\uFFFD[2J", expected one line',
    ],
    [
      'text that turns around',
      (report) => void (at(report, 'windows')['hostVma'] = { predicted: 'a\u202Eb', programmed: null }),
      'windows.1.hostVma.predicted',
    ],
    ['a text of two lines', (report) => void ((report['platform'] as Fields)['kernel'] = 'a\nb'), 'platform.kernel'],
    ['a text without end', (report) => void (at(report, 'checks')['note'] = 'x'.repeat(5000)), 'checks.1.note'],
    [
      'windows without end',
      (report) => void (report['windows'] = Array.from({ length: 300 }, () => at(report, 'windows'))),
      'windows',
    ],
    [
      'checks without end',
      (report) => void (report['checks'] = Array.from({ length: 70_000 }, () => at(report, 'checks'))),
      'checks',
    ],
    ['a missing field', (report) => void delete report['device'], 'device'],
    ['a number for a text', (report) => void (at(report, 'checks')['stage1'] = 4), 'checks.1.stage1'],
    ['an unknown probe', (report) => void (at(report, 'checks')['probe'] = 'guess'), 'checks.1.probe'],
    ['an unknown outcome', (report) => void (at(report, 'checks')['observed'] = 'bad-cell'), 'checks.1.observed'],
    ['an unknown verdict', (report) => void (at(report, 'checks')['verdict'] = 'pass'), 'checks.1.verdict'],
    ['a negative offset', (report) => void (at(report, 'windows')['offset'] = -1), 'windows.1.offset'],
    ['an offset that is not exact', (report) => void (at(report, 'windows')['offset'] = 2 ** 53), 'windows.1.offset'],
    ['a check of no window', (report) => void (at(report, 'checks')['window'] = 3), 'its check 1 refers to window 3'],
    [
      'a figure of no window',
      (report) =>
        void (report['bench'] = {
          ...benchReport().bench,
          figures: [{ ...benchReport().bench?.figures[0], window: 9 }],
        }),
      'its figure 0 refers to window 9',
    ],
    [
      'a figure that is no number',
      (report) =>
        void (report['bench'] = {
          meaningless: null,
          runs: 9,
          figures: [{ ...benchReport().bench?.figures[0], median: null }],
        }),
      'bench.figures.0.median',
    ],
    [
      'a summary that the checks deny',
      (report) => void ((report['summary'] as { match: number }).match += 1),
      'its summary counts 159 match, its checks 158',
    ],
  ])('refuses %s', (_, change, reason) => {
    expect(() => parseReport(json(change))).toThrow(
      expect.objectContaining({ code: 'E_REPORT', message: expect.stringContaining(reason) }),
    );
  });

  it('throws nothing but its own error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.constantFrom('', 'null', '[]', '{}')), (text) => {
        expect(refusalOf(text)).toBeInstanceOf(WcvmmError);
      }),
    );
  });

  it('does not confuse a report with a changed one', () => {
    const changed: Report = changeChecks(sample, ({ probe }) =>
      probe === 'fetch' ? { verdict: 'skipped', observed: null, note: 'why' } : undefined,
    );
    expect(parseReport(formatReport(changed)).summary.skipped).toBe(15);
  });
});

function refusalOf(text: string): unknown {
  try {
    return parseReport(text);
  } catch (error) {
    return error;
  }
}
