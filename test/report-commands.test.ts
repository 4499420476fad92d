import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { formatReport } from '../tool/report/json.ts';
import type { Report } from '../tool/report/report.ts';
import { xmlFault } from './report-readers.ts';
import { benchReport, changeChecks, sampleReport, x86Report } from './report-sample.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  const save = (name: string, report: Report): void => writeFileSync(join(folder, name), formatReport(report));
  save('arm.json', sampleReport());
  save('bench.json', benchReport('measured in an emulator'));
  save('amd.json', x86Report('npt'));
  save('intel.json', x86Report('ept'));
  save(
    'broken.json',
    changeChecks(sampleReport(), ({ probe, window }) =>
      probe === 'fetch' && window === 0 ? { observed: 'ok', verdict: 'mismatch', note: 'why' } : undefined,
    ),
  );
  writeFileSync(join(folder, 'later.json'), formatReport(sampleReport()).replace('wcvmm.report/1', 'wcvmm.report/7'));
  writeFileSync(join(folder, 'large.json'), Buffer.alloc((32 << 20) + 1, ' '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function wcvmm(
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
    cwd: folder,
    encoding: 'utf8',
    input: options.input ?? '',
    env: { PATH: process.env['PATH'], ...options.env },
  });
  return { code: status, stdout, stderr };
}

describe('compare with reports', () => {
  it('puts machines side by side in 100 columns, and runs nothing', () => {
    const { code, stdout, stderr } = wcvmm(['compare', 'arm.json', 'amd.json', 'intel.json']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ +A arm64 +B x86 AMD +C x86 Intel$/m);
    expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(100);
  });

  it('writes the comparison as JSON, and the checks of all as JUnit', () => {
    expect(wcvmm(['compare', 'amd.json', 'intel.json', '--json', 'out.json', '--junit', 'out.xml']).code).toBe(0);
    const out = JSON.parse(readFileSync(join(folder, 'out.json'), 'utf8')) as {
      schema: string;
      machines: { name: string }[];
    };
    expect(out).toMatchObject({ schema: 'wcvmm.comparison/1', machines: [{ name: 'x86 AMD' }, { name: 'x86 Intel' }] });
    const xml = readFileSync(join(folder, 'out.xml'), 'utf8');
    expect(xmlFault(xml)).toBeNull();
    expect(xml).toContain('x86 Intel');
  });

  it('ends with the worst of the exit codes', () => {
    expect(wcvmm(['compare', 'arm.json', 'broken.json']).code).toBe(1);
  });

  it.each([
    ['one report', ['arm.json'], /E_USAGE: compare was given one report, arm\.json; expected two or more/],
    ['standard input twice', ['-', 'arm.json', '-'], /E_USAGE: standard input can hold one report only/],
    [
      'a flag of runs',
      ['arm.json', 'amd.json', '--allow-writes', '-d', '0000:01:00.0'],
      /E_USAGE: .*--device, --allow-writes have no effect when report files are given; remove them or the files/,
    ],
    ['a file that is not there', ['arm.json', 'absent.json'], /E_REPORT: absent\.json cannot be read \(ENOENT/],
    ['a folder', ['arm.json', '.'], /E_REPORT: \. cannot be read \(EISDIR/],
    [
      'a later schema',
      ['arm.json', 'later.json'],
      /E_REPORT: later\.json is not a report .*its schema is wcvmm\.report\/7, expected wcvmm\.report\/1/,
    ],
    ['a file that is too large', ['arm.json', 'large.json'], /E_REPORT: large\.json is larger than 32 MiB/],
    [
      'two outputs to one file',
      ['arm.json', 'amd.json', '--tap', 'x', '--junit', './x'],
      /E_USAGE: --junit and --tap both name/,
    ],
    [
      'an output to no folder',
      ['arm.json', 'amd.json', '--tap', 'absent/x'],
      /E_REPORT: --tap absent\/x cannot be written: the folder .*absent does not exist/,
    ],
  ])('refuses %s', (_, args, message) => {
    const { code, stderr, stdout } = wcvmm(['compare', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });
});

describe('report', () => {
  it('shows a report again, as the command that wrote it', () => {
    expect(wcvmm(['report', 'arm.json']).stdout).toMatch(/^wcvmm verify\n/);
    const compared = formatReport({ ...sampleReport(), command: 'compare' });
    expect(wcvmm(['report', '-'], { input: compared }).stdout).toMatch(/unaligned-store +fault/);
  });

  it('writes a page', () => {
    expect(wcvmm(['report', 'arm.json', '--html', '-']).stdout).toMatch(/^<!DOCTYPE html>\n/);
  });

  it('gives standard output to one format, and keeps the exit code', () => {
    const { code, stdout } = wcvmm(['report', 'broken.json', '--tap', '-']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^TAP version 14\n/);
    expect(stdout).not.toContain('wcvmm verify');
  });

  it('changes nothing of a report that it writes as JSON', () => {
    expect(wcvmm(['report', 'amd.json', '--json', '-']).stdout).toBe(readFileSync(join(folder, 'amd.json'), 'utf8'));
  });
});

describe('text that is piped', () => {
  it.each<[string, readonly string[]]>([
    ['a report', ['report', 'arm.json']],
    ['measurements', ['report', 'bench.json']],
    ['machines', ['compare', 'arm.json', 'amd.json', 'intel.json']],
  ])('of %s has no colour unless asked for, and fits COLUMNS', (_, args) => {
    expect(wcvmm(args).stdout).not.toContain('\u001B');
    expect(wcvmm(args, { env: { FORCE_COLOR: '1' } }).stdout).toContain('\u001B[');
    expect(wcvmm(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }).stdout).not.toContain('\u001B');
    const narrow = wcvmm(args, { env: { COLUMNS: '80' } }).stdout;
    expect(Math.max(...narrow.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
  });
});
