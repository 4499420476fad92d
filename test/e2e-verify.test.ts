import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arm64 } from '../memattr/index.ts';
import type { Report } from '../tool/report/report.ts';
import { parseReport } from '../tool/report/schema.ts';
import { proofOf } from '../tool/report/proof.ts';
import { countAgain } from './count-again.ts';
import { publishedFaults } from './report-readers.ts';
import { inTestbed } from './support.ts';
import type { Finished } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function verify(
  name: string,
  args: readonly string[],
  request: Partial<Parameters<typeof inTestbed>[0]> = {},
): Promise<Finished & { report: Report; json: string }> {
  const file = `${name}.json`;
  const done = await inTestbed({
    ...request,
    run: { kind: 'wcvmm', args: [...args, '--json', file] },
    outputDir: folder,
  });
  const json = readFileSync(join(folder, file), 'utf8');
  const faults = publishedFaults(JSON.parse(json));
  if (faults !== null) throw new Error(`the published JSON Schema refuses the report: ${faults}`);
  return { ...done, json, report: parseReport(json) };
}

const DEVICE = ['-d', '0000:01:00.0'] as const;

describe.each([
  ['with FWB', 'max', true],
  ['without FWB', 'neoverse-n1', false],
])('verify on the patched kernel, a CPU %s', (_name, cpu, fwb) => {
  let code = -1;
  let report: Report;
  let json = '';
  let began = 0;
  beforeAll(async () => {
    began = Math.floor(Date.now() / 1000) * 1000;
    ({ code, report, json } = await verify(`verify-${cpu}`, ['verify', ...DEVICE], cpu === 'max' ? {} : { cpu }));
  });

  test('every check matches, or is named otherwise', () => {
    expect(report.summary.mismatch).toBe(0);
    expect(report.summary.skipped).toBe(0);
    expect(code).toBe(0);
    expect(report.checks.filter(({ verdict, note }) => verdict !== 'match' && note === null)).toEqual([]);
  });

  test('says when it was made, though the machine has no clock', () => {
    expect(Date.parse(report.origin?.time ?? '')).toBeGreaterThanOrEqual(began);
  });

  test('one BAR has all three attributes at the same time, programmed as predicted', () => {
    const windows = report.windows.filter(({ source }) => source === undefined);
    expect(windows.map(({ bar, attribute }) => [bar, attribute])).toEqual([
      [2, 'device'],
      [2, 'wc'],
      [2, 'default'],
    ]);
    expect(windows.map(({ stage2 }) => stage2.programmed)).toEqual(['Device-nGnRE', 'Normal-NC', 'Normal-NC']);
    for (const { stage2 } of report.windows) expect(stage2.programmed).toBe(stage2.predicted);
    // The host's own loads: the mappings that fault stand beside those that do not.
    expect(report.windows.map(({ hostVma }) => hostVma.observed)).toEqual(['Device', 'Normal', 'Device', 'Normal']);
  });

  test('each window is touched at both its ends and between, and read back there', () => {
    for (const { coverage, length, stage2 } of report.windows) {
      expect(coverage).toMatchObject({ pages: length / 4096, touched: 5, unlike: 0 });
      expect(coverage?.readBack).toBe(stage2.blockSize === 4096 ? 5 : length / 4096);
    }
    expect(report.limits?.join('\n')).toMatch(/15 of 1024 pages were touched/);
  });

  test('what was observed is what the model computes from the checks', () => {
    const observed = report.checks.filter(
      ({ window, speaksOf, verdict }) => window < 3 && speaksOf === 'type' && verdict === 'match',
    );
    expect(observed.length).toBe(36);
    for (const { window, excludes } of observed)
      expect(excludes).toEqual(expect.arrayContaining(window === 0 ? ['Normal-NC', 'Normal-WB'] : ['Device-nGnRE']));
    expect(countAgain(json)).toEqual({ shown: 36, of: 36 });
    expect(proofOf(report)).toMatchObject({ checks: { type: { shown: 36, of: 36 } }, notProven: [] });
  });

  test('every stage-1 type is asked by every probe in every window', () => {
    for (const window of [0, 1, 2]) {
      for (const { name } of arm64.stage1Types) {
        const probes = report.checks
          .filter((check) => check.window === window && check.stage1 === name)
          .map(({ probe }) => probe);
        expect(probes).toEqual(arm64.probes);
      }
    }
  });

  test('the strict window faults where the relaxed ones do not', () => {
    const seen = report.checks
      .filter(({ window, stage1, probe }) => window < 3 && stage1 === 'Normal-NC' && probe === 'unaligned-load')
      .map(({ observed }) => observed);
    expect(seen).toEqual(['alignment-fault', 'ok', 'ok']);
  });

  test('the kernel says that it forwards stage-2 alignment faults, so that one outcome alone is as predicted', () => {
    expect(report.platform.faultForwarding).toBe(true);
    expect(report.checks.filter(({ alternatives }) => alternatives !== undefined)).toEqual([]);
  });

  test('the platform is told apart', () => {
    expect(report.platform).toMatchObject({ kind: 'testbed', cookies: true, fwb });
    expect(report.platform.emulator).toMatch(/^qemu-\d+/);
    expect(report.device).toMatchObject({ address: '0000:01:00.0', id: '1af4:1110', source: 'cookie' });
  });
});

test('memory in an MTE guest keeps its tags only where the type is tagged write-back', async () => {
  const { report } = await verify('mte', ['verify', ...DEVICE]);
  const control = report.windows.findIndex(({ source }) => source === 'memory');
  const tags = report.checks.filter(({ window, probe }) => window === control && probe === 'tag-retention');
  expect(tags.length).toBeGreaterThan(0);
  for (const { verdict } of tags) expect(['match', 'unobservable']).toContain(verdict);
});

test('a BAR of 8 GiB is mapped with blocks', async () => {
  const { report, code } = await verify('large', ['verify', '-d', '0000:03:00.0']);
  expect(code).toBe(0);
  const blocks = report.windows.filter(({ source }) => source === undefined).map(({ stage2 }) => stage2.blockSize);
  for (const block of blocks) expect(block).toBeGreaterThanOrEqual(2 << 20);
});

test('a controller memory buffer is only written to when the user says so', async () => {
  const only = await verify('cmb-loads', ['verify', '-d', '0000:02:00.0']);
  expect([only.code, only.report.summary.mismatch]).toEqual([0, 0]);
  expect(new Set(only.report.windows.map(({ touched }) => touched?.by))).toEqual(new Set(['loads', 'memory']));
  // With permission it is found to be memory, and every probe is made.
  const { code, report } = await verify('cmb', ['verify', '-d', '0000:02:00.0', '--allow-writes']);
  expect([code, report.summary.mismatch]).toEqual([0, 0]);
  expect(new Set(report.windows.map(({ touched }) => touched?.by))).toEqual(new Set(['memory']));
  expect(report.checks.length).toBeGreaterThan(only.report.checks.length);
});

test('every page of a window, where asked', async () => {
  const { report, code } = await verify('whole', ['verify', ...DEVICE, '-m', 'bar2:0-256K=device', '--whole']);
  expect(code).toBe(0);
  expect(report.windows[0]?.coverage).toMatchObject({ pages: 64, touched: 64, unlike: 0, readBack: 64 });
  expect(report.limits?.join('\n')).not.toContain('--whole');
});

test('a wrong row of the model is a mismatch, and exit code 1', async () => {
  const { code, report, stdout } = await verify('wrong', [
    'verify',
    ...DEVICE,
    '--predict',
    'unaligned-load@Device-nGnRnE=ok',
  ]);
  expect(code).toBe(1);
  expect(report.summary.mismatch).toBe(3);
  expect(stdout).toMatch(/mismatch/);
});

test('compare says in a line what a driver would notice', async () => {
  const { code, stdout } = await verify('compare', ['compare', ...DEVICE]);
  expect(code).toBe(0);
  for (const attribute of ['wc', 'default', 'device']) expect(stdout).toMatch(new RegExp(`^\\s*${attribute}\\b`, 'm'));
});
