import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { number, renderBench, seriesOf } from '../tool/report/bench.ts';
import { parseReport } from '../tool/report/schema.ts';
import { formatReport } from '../tool/report/json.ts';
import { exitCodeOf } from '../tool/report/proof.ts';
import { benchReport, sampleReport } from './report-sample.ts';

const plain = { columns: 100, color: false };
const report = benchReport();
const text = renderBench(report, plain);

describe('renderBench', () => {
  it('has a row for each window and stage-1 type, in three tables', () => {
    expect(text).toMatch(/^ {2}window, stage 1 → effective type +64 +256 +1024 +4096 +spread$/m);
    expect(text).toMatch(/^ {2}1 wc Normal-NC → Normal-NC +3200 +6400 +12800 +25600 +±8%$/m);
    expect(text).toMatch(/^ {2}0 device Normal-NC → nGnRE +80 +160 +320 +640 +±8%$/m);
    expect(text).toMatch(/^ {2}0 device nGnRnE → nGnRnE +900 +1201 +±8%$/m);
    expect(text.match(/^ {2}0 device Normal-NC/gm)).toHaveLength(3);
  });

  it('fits 100 columns, has no colour unless asked, and reads back', () => {
    expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(100);
    expect(stripVTControlCharacters(renderBench(benchReport('why'), { columns: 100, color: true }))).toBe(
      renderBench(benchReport('why'), plain),
    );
    expect(parseReport(formatReport(report))).toEqual(report);
  });

  it('is written with a figure on a line', () => {
    const lines = formatReport(report).split('\n');
    expect(lines.filter((line) => line.startsWith('      {"window"'))).toHaveLength(report.bench?.figures.length ?? 0);
  });

  it('says first and last where figures say nothing of hardware, and nowhere else', () => {
    const emulated = renderBench(benchReport('measured in qemu-10.0.2'), plain);
    expect(emulated.match(/^!! NOT HARDWARE: measured in qemu-10\.0\.2$/gm)).toHaveLength(2);
    expect(emulated.trimEnd().split('\n').at(-1)).toMatch(/^!! NOT HARDWARE/);
    expect(text).not.toContain('NOT HARDWARE');
  });

  it('tells the control from the windows, and a report without figures', () => {
    const windows = report.windows.map((window, index) =>
      index === 2 ? Object.assign({}, window, { source: 'memory' as const }) : window,
    );
    expect(renderBench({ ...report, windows }, plain)).toContain('2 control Normal-NC');
    expect(renderBench(sampleReport({ command: 'bench', checks: [] }), plain)).toContain('no measurements');
  });

  it('fails only where a window was not made as predicted', () => {
    expect(exitCodeOf(report)).toBe(0);
    const windows = report.windows.map((window) => ({
      ...window,
      stage2: { ...window.stage2, programmed: 'Normal-WB' },
    }));
    expect(exitCodeOf({ ...report, windows })).toBe(1);
  });
});

describe('seriesOf', () => {
  it('has nothing where nothing was measured', () => {
    expect(seriesOf([])).toEqual([]);
    expect(seriesOf(report.bench?.figures ?? []).map(({ columns }) => columns.map(({ head }) => head))).toEqual([
      ['64', '256', '1024', '4096'],
      ['8', '64', '256'],
      ['load-latency', 'write-to-visible'],
    ]);
  });
});

describe('number', () => {
  it('is short', () => {
    expect([0, 0.012345, 1.5, 12.345, 999.6, 1000.4, 25600].map(number)).toEqual([
      '0',
      '0.0123',
      '1.5',
      '12.3',
      '1000',
      '1000',
      '25600',
    ]);
  });
});
