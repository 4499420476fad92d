import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-man-'));
  wcvmm('man', '--output', folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function wcvmm(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
}

function installed(program: string): boolean {
  return spawnSync(program, ['-h']).error === undefined;
}

const PAGES = ['wcvmm', 'wcvmm-verify', 'wcvmm-run', 'wcvmm-bind', 'wcvmm-testbed', 'wcvmm-testbed-run'] as const;

test('there is a page for every command', () => {
  const { stdout } = wcvmm('--help');
  const commands = [...stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}(\w+) /gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'help');
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(commands.map((name) => `wcvmm-${name}.1`)));
});

describe.each(PAGES)('%s', (name) => {
  const words = name.split('-').slice(1);

  test('says what --help says', () => {
    const page = readFileSync(join(folder, `${name}.1`), 'utf8')
      .replaceAll('\\-', '-')
      .replaceAll(/\s+/g, ' ');
    const { stdout } = wcvmm(...words, '--help');
    const options = [...stdout.matchAll(/^ {2}((?:-\w, )?--[\w-]+(?: [<[][\w.]+[>\]])?) /gm)].map(
      ([, term]) => term ?? '',
    );
    expect(options.length).toBeGreaterThan(0);
    for (const term of options) expect(page).toContain(`.B ${term} `);
    const examples = [...stdout.matchAll(/^ {2}(\$ .*)$/gm)].map(([, line]) => line?.replaceAll(/\s+/g, ' ') ?? '');
    for (const line of examples) expect(page).toContain(line);
  });

  test('is what "wcvmm man" prints', () => {
    expect(wcvmm('man', ...words).stdout).toBe(readFileSync(join(folder, `${name}.1`), 'utf8'));
  });
});

test.skipIf(!installed('groff'))('groff has nothing to complain about (needs groff)', () => {
  for (const page of readdirSync(folder))
    expect(spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', join(folder, page)], { encoding: 'utf8' }).stderr).toBe(
      '',
    );
});

test.skipIf(!installed('mandoc'))('mandoc has no error to complain about (needs mandoc)', () => {
  for (const page of readdirSync(folder))
    expect(spawnSync('mandoc', ['-T', 'lint', '-W', 'error', join(folder, page)], { encoding: 'utf8' }).stdout).toBe(
      '',
    );
});

test('a command that is not there', () => {
  const { status, stderr } = wcvmm('man', 'nothing');
  expect(status).toBe(2);
  expect(stderr).toMatch(/^wcvmm: E_USAGE: there is no command "nothing"; expected one of: run, verify, /);
});

test("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  expect(wcvmm('--version').stdout).toBe(`${version}\n`);
});
