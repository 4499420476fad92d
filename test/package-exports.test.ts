import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

interface Manifest {
  readonly version: string;
  readonly man: readonly string[];
}

/** Small enough for one boot, and nothing of it is left to the machine. */
const VERIFY = ['verify', '--testbed', 'arm64', '-m', 'bar2:0-64K=device', '-m', 'bar2:64K-128K=wc'] as const;

const TYPED = `
import { ERROR_CODES, WcvmmError, libcPort, listDevices, parseMap } from 'wcvmm';
import type { ErrorCode, MapRequest, Port, Report } from 'wcvmm';
import { arm64 } from 'wcvmm/memattr';
import type { Attribute } from 'wcvmm/memattr';
import { runInTestbed } from 'wcvmm/testbed';

const port: Port = libcPort;
const request: MapRequest = parseMap('bar2:0-64K=wc');
const attribute: Attribute = request.attribute;
const codes: readonly ErrorCode[] = ERROR_CODES;
const run: typeof runInTestbed = runInTestbed;
// @ts-expect-error a bigint is no number
const wrong: number = request.start;
console.log(attribute, codes.length > 0, listDevices(port, true).length >= 0, typeof run, arm64.arch, new WcvmmError('E_USAGE', 'x') instanceof Error, wrong === 0);
export type Kept = Report;
`;

let folder: string;
let archive: string;
let installed: string;

function npm(...args: readonly string[]): string {
  return execFileSync('npm', args, { cwd: projectRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function wcvmm(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(join(folder, 'node_modules/.bin/wcvmm'), args, { encoding: 'utf8', cwd: folder });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-package-'));
  npm('pack', '--silent', '--pack-destination', folder);
  archive = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '');
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  npm('install', '--prefix', folder, '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', archive);
  installed = join(folder, 'node_modules/wcvmm');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  test('holds code, guests, patches, pages and manuals, and no test', () => {
    const files = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' })
      .split('\n')
      .map((name) => name.replace('package/', ''));
    for (const name of [
      'dist/tool/cli/cli.js',
      'dist/vmm/index.d.ts',
      'dist/memattr/index.d.ts',
      'arm64-tests/build/guest.elf',
      'x86-tests/build/guest.elf',
      'kernel-patches/series',
      'testbed/setup',
      'testbed/rootfs/init-qemu',
      'docs/errors.md',
      'docs/report.schema.json',
      'LICENSE',
    ])
      expect(files).toContain(name);
    expect(
      files.filter((name) =>
        /(?:^|\/)test\/|\.test\.|\.o$|\.d$|bad-|node_modules|tsbuildinfo|^testbed.*\.ts$/.test(name),
      ),
    ).toEqual([]);
  });

  // A new command wants its page in package.json: npm takes no folder of manual pages from an archive.
  test('lists every manual page for npm to install', () => {
    const { man } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
    expect(man.toSorted()).toEqual(
      readdirSync(join(installed, 'dist/man'))
        .map((name) => `./dist/man/${name}`)
        .toSorted(),
    );
  });
});

describe('installed elsewhere', () => {
  test('says its version', () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as Manifest;
    expect(wcvmm('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
  });

  test('runs doctor and devices', () => {
    expect(JSON.parse(wcvmm('doctor', '--json').stdout)).toMatchObject({ schema: 'wcvmm.doctor/2' });
    expect(JSON.parse(wcvmm('devices', '--json').stdout)).toMatchObject({ schema: 'wcvmm.devices/1' });
  });

  test('runs verify in an emulated instance', { timeout: 300_000 }, () => {
    const { status, stdout, stderr } = wcvmm(...VERIFY);
    expect(stderr).not.toContain('E_');
    expect(stdout).toMatch(/✓ \d+ of \d+ checks match, 0 mismatches/);
    expect(status).toBe(0);
  });

  test('is a library with types', () => {
    writeFileSync(join(folder, 'use.ts'), TYPED);
    const options = {
      target: 'es2023',
      module: 'nodenext',
      strict: true,
      outDir: 'out',
      types: [],
      noEmitOnError: true,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['use.ts'] }));
    // The compiler and Node's types are the project's own: what is installed here must do without any of its tools.
    const { stdout } = spawnSync(
      join(projectRoot, 'node_modules/.bin/tsc'),
      ['-p', folder, '--typeRoots', join(projectRoot, 'node_modules/@types'), '--types', 'node'],
      { encoding: 'utf8' },
    );
    expect(stdout).toBe('');
    expect(spawnSync(process.execPath, [join(folder, 'out/use.js')], { encoding: 'utf8' }).stdout).toBe(
      'wc true true function arm64 true false\n',
    );
  });
});
