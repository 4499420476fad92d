import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { arm64 } from '../memattr/index.ts';
import { renderCompare } from '../tool/report/compare.ts';
import { noticed } from '../tool/report/driver.ts';
import type { Check } from '../tool/report/report.ts';
import { styleOf, wrap } from '../common/terminal.ts';
import { renderReport } from '../tool/report/text.ts';
import { unreadReport, STAGE1, changeChecks, sampleReport, sampleWindow, x86Report } from './report-sample.ts';

const plain = { columns: 100, color: false };
const sample = sampleReport();
const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
const withoutColour = (text: string): string => stripVTControlCharacters(text);
/** A driver's unaligned store to the device window, with what else is known of it. */
const store = (change: Partial<Check>): Check[] =>
  changeChecks(sample, () => change).checks.filter(
    ({ window, stage1, probe }) => window === 0 && stage1 === 'Normal-NC' && probe === 'unaligned-store',
  );

/** A device window that does not hold: its guest stores unaligned as if it were Normal-NC. */
const broken = changeChecks(sample, ({ probe, window, stage1 }) =>
  probe.startsWith('unaligned-store') && window === 0 && stage1 === 'Normal-NC'
    ? { observed: 'ok', verdict: 'mismatch', note: 'Device memory requires alignment' }
    : undefined,
);

/** The answers that a report gives once for all cells. */
function alikeIn(text: string): readonly string[] {
  const [, list = ''] = /^ {2}everywhere: (.*(?:\n {14}.*)*)$/m.exec(text) ?? [];
  return list === '' ? [] : list.replaceAll(/\s+/g, ' ').split(', ');
}

describe('terminal', () => {
  it.each([
    [{ isTTY: true, columns: 120 }, {}, { columns: 120, color: true }],
    [{ isTTY: true, columns: 120 }, { NO_COLOR: '1' }, { columns: 120, color: false }],
    [{ isTTY: true, columns: 120 }, { NO_COLOR: '' }, { columns: 120, color: true }],
    [{ isTTY: true, columns: 120 }, { TERM: 'dumb' }, { columns: 120, color: false }],
    [{ isTTY: true, columns: 0 }, {}, { columns: 100, color: true }],
    [{}, {}, { columns: 100, color: false }],
    [{}, { COLUMNS: '80', FORCE_COLOR: '1' }, { columns: 80, color: true }],
    [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }, { columns: 100, color: false }],
    [{ isTTY: true }, { FORCE_COLOR: '0', COLUMNS: 'wide' }, { columns: 100, color: false }],
  ])('%j with %j is %j', (stream, env, style) => {
    expect(styleOf(stream, env)).toEqual(style);
  });

  it('wraps under the text, and leaves a word that is too long whole', () => {
    expect(wrap('ab ', `one two ${'x'.repeat(30)} three`, 23)).toEqual([
      'ab one two',
      `   ${'x'.repeat(30)}`,
      '   three',
    ]);
  });
});

describe('renderReport', () => {
  const text = renderReport(sample, plain);

  it('fits 100 columns, and 80', () => {
    expect(widest(text)).toBeLessThanOrEqual(100);
    expect(widest(renderReport(broken, plain))).toBeLessThanOrEqual(100);
    expect(widest(renderReport(sample, { columns: 80, color: false }))).toBeLessThanOrEqual(80);
  });

  it('shows every stage-1 type with every probe, in every window', () => {
    const rows = text.split('\n').filter((line) => STAGE1.some((stage1) => line.startsWith(`  ${stage1} `)));
    expect(rows).toHaveLength(3 * STAGE1.length);
    for (const row of rows)
      expect(row.trim().split(/\s+/)).toHaveLength(1 + arm64.probes.length - alikeIn(text).length);
  });

  it('says once what is the same everywhere, and gives it no column', () => {
    const alike = alikeIn(text);
    expect(alike).toContain('self ok');
    const head = text.split('\n').find((line) => line.startsWith('  stage 1 ')) ?? '';
    for (const answer of alike) expect(head.split(/\s+/)).not.toContain(answer.split(' ')[0]);
  });

  it('shows what guests get where every answer is the same', () => {
    const shown = renderReport(
      changeChecks(sample, () => ({ predicted: 'ok', observed: 'ok', verdict: 'match', note: null })),
      plain,
    );
    expect(alikeIn(shown)).toHaveLength(arm64.probes.length);
    expect(shown).toMatch(/^ {2}a guest that asks for +Device-nGnRnE +Device-nGnRE /m);
    expect(shown).toMatch(
      /^0 device, stage 2 Device-nGnRE, gets \(computed\) +Device-nGnRnE +Device-nGnRE +Device-nGnRE/m,
    );
  });

  it('loses no cell where the matrix does not fit', () => {
    const narrow = renderReport(sample, { columns: 60, color: false });
    const cells = narrow
      .split('\n')
      .filter((line) => line.startsWith('  Normal-NC '))
      .flatMap((line) => line.trim().split(/\s+/).slice(1));
    expect(cells).toHaveLength(3 * (arm64.probes.length - alikeIn(narrow).length));
  });

  it('has no colour unless asked, and the same text with it', () => {
    expect(text).not.toContain('\u001B');
    expect(withoutColour(renderReport(sample, { columns: 100, color: true }))).toBe(text);
  });

  it('names each reason once, with its kind', () => {
    expect(text.match(/qemu-dczva-device/g)).toHaveLength(1);
    expect(text).toMatch(/^ {2}!1 {2}erratum {6}qemu-simd-8: /m);
    expect(text).toMatch(/^ {2}\?3 {2}unobservable whether Device memory/m);
  });

  it('tells one reason about several types once, and of all of them', () => {
    const shown = renderReport(
      changeChecks(sample, ({ probe, effective }) =>
        probe === 'exclusive' ? { verdict: 'unobservable', note: `who knows ${effective}` } : undefined,
      ),
      plain,
    );
    expect(shown).toMatch(/who knows Device-nGnRnE, Device-nGnRE, Device-GRE or Normal-NC\n/);
    const forced = { probe: 'fetch', effective: 'Normal-WB', verdict: 'unobservable' } as const;
    const ofStage1 = renderReport(
      changeChecks(sample, ({ probe, stage1 }) =>
        probe === 'fetch' ? { ...forced, note: `a fetch from ${stage1}` } : undefined,
      ),
      plain,
    );
    expect(ofStage1).toMatch(/a fetch from Device-nGnRnE, Device-nGnRE, Device-GRE or Normal-NC\n/);
  });

  it('ends with what was programmed, what was observed, and what works', () => {
    expect(text.trimEnd().split('\n').slice(-5)).toEqual([
      "✓ programmed  stage 2 as predicted in 3 of 3 windows, the host's mapping in 0 of 3",
      '✓ observed    by 36 of 36 checks that can tell types apart; nothing told Device-nGnRE from',
      '              Device-nGnRnE, Device-nGRE or Device-GRE, nor Normal-NC from Normal-WB or as-stage-1',
      "  function    38 of 38 checks that accesses work, 69 of 69 of the guest's own stage 1, 15 of 15 of",
      '              what KVM lets a guest execute, 22 errata of qemu-10.0.2, 75 not observable',
    ]);
  });

  it('says on x86 that nothing was observed, and what was read back', () => {
    const shown = renderReport(x86Report('npt'), plain);
    expect(shown).toContain("✓ programmed  stage 2 as predicted in 3 of 3 windows, the host's mapping in 3 of 3\n");
    expect(shown).toContain('– observed    by 0 of 270 checks: none could tell one memory type from another\n');
    expect(shown).not.toContain('not proven');
  });

  it('says that nothing is proven where neither is known, and never that it holds', () => {
    const shown = renderReport(unreadReport(), plain);
    expect(shown).toContain(
      '? not proven  windows 0, 1, 2: the memory type was neither read back from the kernel nor observed by\n',
    );
    expect(shown).not.toContain('✓');
  });

  it('lists a mismatch in full and marks it', () => {
    const lines = renderReport(broken, plain).split('\n');
    const at = lines.findIndex((line) => line.startsWith('✗ mismatch'));
    expect(lines.slice(at, at + 6)).toEqual([
      '✗ mismatch  bar2:0-64K=device: unaligned-store, unaligned-store-simd, unaligned-store-pair under',
      '            stage 1 Normal-NC',
      '  predicted   alignment-fault, for Device-nGnRE = stage 1 Normal-NC with stage 2 Device-nGnRE',
      '  programmed  stage 2 Device-nGnRE',
      '  observed    ok',
      '  why         Device memory requires alignment',
    ]);
    expect(lines.find((line) => line.startsWith('  Normal-NC '))).toMatch(/aln ok✗ +aln ok✗ +aln ok✗/);
    expect(lines.at(-2)).toBe('✗ mismatch    3 checks not as predicted');
  });

  it('shows a window that the kernel made otherwise', () => {
    const [device, ...rest] = sample.windows;
    const wrong = sampleReport({
      windows: [
        {
          ...sampleWindow('device', 0, 0x1_0000),
          stage2: { predicted: 'Device-nGnRE', programmed: 'Normal-NC', blockSize: 4096 },
        },
        ...rest,
      ],
    });
    expect(device?.stage2.programmed).toBe('Device-nGnRE');
    const shown = renderReport(wrong, plain);
    expect(shown).toContain('Normal-NC ✗ not Device-nGnRE');
    expect(shown).toContain("✗ programmed  stage 2 as predicted in 2 of 3 windows, the host's mapping in 0 of 3\n");
    expect(shown).toContain('✗ mismatch    1 window not as predicted\n');
  });

  it('says what could not be read back, and tells a control from a BAR', () => {
    const windows = sample.windows.map((window) => ({
      ...window,
      stage2: { ...window.stage2, programmed: null, blockSize: null },
    }));
    const stock = renderReport(sampleReport({ windows, platform: { ...sample.platform, cookies: false } }), plain);
    expect(stock).toContain('stage 2 (predicted)');
    expect(stock).toContain('no mmap cookies');
    const control = renderReport(
      sampleReport({
        windows: [...sample.windows.slice(0, 2), { ...sampleWindow('default', 0, 0x20_0000), source: 'memory' }],
      }),
      plain,
    );
    expect(control).toContain('memory, 2M');
    expect(control).toContain('2 control, ordinary memory, stage 2 Normal-NC');
  });

  it('shows a report without checks', () => {
    expect(
      renderReport(
        sampleReport({ checks: [], command: 'run', device: { address: null, id: null, source: 'memory' } }),
        plain,
      ),
    ).toContain('no device: memory instead of a BAR');
  });
});

describe('renderCompare', () => {
  const compared = { ...sample, command: 'compare' } as const;
  const text = renderCompare(compared, plain);

  it('fits 100 columns and colours nothing unless asked', () => {
    expect(widest(text)).toBeLessThanOrEqual(100);
    expect(withoutColour(renderCompare(compared, { columns: 100, color: true }))).toBe(text);
  });

  it('puts the attributes side by side, most relaxed first', () => {
    expect(text).toMatch(/^ +wc +default +device +wc +default +device$/m);
    expect(text).toMatch(/^ {2}unaligned-store +fault +fault +fault +ok +ok +fault$/m);
    expect(text).toMatch(/^ {2}effective type +nGnRnE +nGnRnE +nGnRnE +Normal-NC +Normal-NC +nGnRE$/m);
  });

  it('says in one line what a driver would notice', () => {
    const lines = text.split('\n');
    expect(lines).toContain(
      "wc:      a driver's Normal-NC stays Normal-NC: unaligned accesses work, write combining possible*",
    );
    expect(lines).toContain(
      "device:  a driver's Normal-NC becomes Device-nGnRE: unaligned accesses fault, no write combining*",
    );
    expect(text).toContain('* predicted only: qemu-10.0.2 does not model it');
  });

  it('takes the line from the checks, not from what the attribute should do', () => {
    const wrong = renderCompare({ ...broken, command: 'compare' }, plain);
    expect(wrong).toMatch(
      /unaligned stores work \(the model says they\s+fault\), unaligned loads fault, no write combining/,
    );
    expect(wrong).toContain('✗ mismatch');
  });

  it('leaves out an attribute that was not mapped, and a control', () => {
    const windows = sample.windows.map((window, index) =>
      index === 2 ? Object.assign({}, window, { source: 'memory' as const }) : window,
    );
    expect(renderCompare({ ...compared, windows }, plain)).not.toMatch(/^default:/m);
    expect(renderCompare({ ...compared, windows: [], checks: [] }, plain)).toContain('no window to compare');
  });

  it('compares memory where memory was asked for', () => {
    const windows = sample.windows.map((window) => Object.assign({}, window, { source: 'memory' as const }));
    const device = { address: null, id: null, source: 'memory' } as const;
    expect(renderCompare({ ...compared, windows, device }, plain)).toMatch(/^default:/m);
  });
});

describe('noticed', () => {
  it.each<[string, Partial<Check>, string]>([
    ['the end of the VM', { observed: 'vm-killed', predicted: 'vm-killed' }, 'unaligned stores end the whole VM,'],
    ['a check that was skipped', { observed: null, verdict: 'skipped' }, 'unaligned stores fault*,'],
    [
      'an erratum',
      { observed: 'ok', verdict: 'erratum' },
      'unaligned stores fault* (here they work, a known deviation),',
    ],
  ])('tells %s', (_, change, words) => {
    expect(noticed('Normal-NC', store(change))).toContain(words);
  });

  it('claims nothing without checks', () => {
    expect(noticed('WC', [])).toContain('nothing is known');
  });

  it.each([
    ['Normal-NC', 'write combining possible*'],
    ['WB', 'write combining possible*'],
    ['Device-nGnRE', 'no write combining*'],
    ['UC', 'no write combining*'],
    ['UC or WC', 'write combining possible*'],
    ['unknown', 'whether stores combine is not known'],
  ])('says what becomes of stores to %s', (effective, words) => {
    expect(noticed('WC', store({ effective }))).toContain(words);
  });
});
