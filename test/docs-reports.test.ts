import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { formatReport } from '../tool/report/json.ts';
import { formatJunit } from '../tool/report/junit.ts';
import { VERDICTS } from '../tool/report/report.ts';
import { formatTap } from '../tool/report/tap.ts';
import { readTap } from './report-readers.ts';
import { changeChecks, sampleReport, x86Report } from './report-sample.ts';

const page = readFileSync(join(projectRoot, 'docs/reports.md'), 'utf8');
const commands = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) => (block ?? '').trim().split('\n'));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  writeFileSync(join(folder, 'report.json'), formatReport(sampleReport()));
  writeFileSync(join(folder, 'other.json'), formatReport(x86Report('npt')));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('its commands run as they stand there', () => {
  expect(commands).toHaveLength(4);
  for (const command of commands) {
    const [program, ...args] = command.split(' ');
    expect(program).toBe('wcvmm');
    const { status, stderr } = spawnSync(process.execPath, [join(projectRoot, 'dist/tool/cli/cli.js'), ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect([command, status, stderr]).toEqual([command, 0, '']);
  }
  const written = commands.flatMap((command) => command.match(/(?<=--\w+ )\S+/g) ?? []);
  expect(readdirSync(folder)).toEqual([...written, 'report.json', 'other.json'].toSorted());
});

test.each(VERDICTS)('its table says what becomes of %s', (verdict) => {
  const [, junit = '', tap = ''] = new RegExp(`^\\| ${verdict} \\| (.*) \\| (.*) \\|$`, 'm').exec(page) ?? [];
  const sample = sampleReport({
    checks: sampleReport().checks.slice(0, 1),
    windows: sampleReport().windows.slice(0, 1),
  });
  const reports = [{ name: 'arm64', report: changeChecks(sample, () => ({ verdict, note: 'the reason' })) }];
  const element = /<testcase [^>]*stage1-self-check"(?:\/>|>(<\w+))/.exec(formatJunit(reports));
  expect(`${element?.[1] ?? 'passed'}`).toBe(/^`(<\w+)>`/.exec(junit)?.[1] ?? junit);
  const point = readTap(formatTap(reports))[0]?.subtests.at(-1);
  expect(`${point?.ok === true ? 'ok' : 'not ok'}${point?.directive ? ` # ${point.directive}` : ''}`).toBe(
    /^`([^`]*)`/.exec(tap)?.[1],
  );
});

test('its size limit is the one that is kept', () => {
  expect(page).toContain('at most 32 MiB');
  expect(readFileSync(join(projectRoot, 'tool/report/read.ts'), 'utf8')).toContain('MAX_SIZE = 32 << 20');
});
