/** fleet/node/wcvmm-node with a wcvmm that only takes notes; test/e2e-fleet-*.test.ts have the real one. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { formatReport } from '../tool/report/json.ts';
import { executable } from './fleet/nodes.ts';
import { armReport, origin } from './fleet-sample.ts';

const NODE = join(projectRoot, 'fleet/node/wcvmm-node');
const REPORT = formatReport(armReport());

let folder = '';
let env: Record<string, string> = {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-node-'));
  writeFileSync(join(folder, 'report'), REPORT);
  env = {
    PATH: process.env['PATH'] ?? '',
    WCVMM: fake(`cat ${folder}/report`),
    WCVMM_DEVICE: '0000:ff:1f.7',
    WCVMM_STATE: join(folder, 'state'),
    WCVMM_CONF: join(folder, 'none'),
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param verify what `wcvmm verify` does, in shell @param bind the same of bind */
function fake(verify: string, bind = 'exit 0'): string {
  return executable(
    join(folder, 'wcvmm'),
    `#!/bin/sh\necho "$*" >>${folder}/calls\ncase $1 in\nbind) ${bind} ;;\nverify) ${verify} ;;\ncompare) shift; exec ${process.execPath} ${projectRoot}/dist/tool/cli/cli.js compare "$@" ;;\nesac\n`,
  );
}

function node(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(NODE, args, { env, encoding: 'utf8' });
}

const calls = (): readonly string[] =>
  existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : [];
const state = (name: string): string => join(folder, 'state', name);
const verdict = (): readonly [string, number | null] => {
  const { stdout, status } = node('verdict');
  return [stdout.trim(), status];
};

test('binds, verifies, unbinds; keeps the report and the verdict', () => {
  env['WCVMM_ARGUMENTS'] = '-m bar2:0-64K=device -m bar2:64K-=wc';
  expect(node('verify')).toMatchObject({ status: 0, stdout: 'wcvmm-node: verified\n' });
  expect(calls()).toEqual([
    'bind 0000:ff:1f.7',
    'verify -d 0000:ff:1f.7 -m bar2:0-64K=device -m bar2:64K-=wc --json -',
    'unbind 0000:ff:1f.7',
  ]);
  expect(readFileSync(state('report.json'), 'utf8')).toBe(REPORT);
  expect(verdict()).toEqual(['wcvmm: as predicted', 0]);
  expect(existsSync(state('lock'))).toBe(false);
});

describe('a verdict', () => {
  test.each([
    ['cat REPORT; exit 1', 'wcvmm: differs: a mismatch'],
    ['cat REPORT; exit 3', 'wcvmm: not verified: not proven'],
    ['echo "wcvmm: E_COOKIE_UNSUPPORTED: none" >&2; exit 2', 'wcvmm: not verified: E_COOKIE_UNSUPPORTED: none'],
    ['exit 2', 'wcvmm: not verified:'],
  ])('of `%s` is no pass', (verify, words) => {
    fake(verify.replace('REPORT', join(folder, 'report')));
    expect(node('verify').status).toBe(0);
    expect(verdict()).toEqual([words, 1]);
    expect(calls().at(-1)).toBe('unbind 0000:ff:1f.7');
  });

  test('of a device that cannot be bound is no pass, and nothing is given back', () => {
    fake('exit 0', 'echo "wcvmm: E_DEVICE_IN_USE: no" >&2; exit 2');
    node('verify');
    expect(verdict()).toEqual(['wcvmm: not verified: E_DEVICE_IN_USE: no', 1]);
    expect(calls()).toEqual(['bind 0000:ff:1f.7']);
    expect(readFileSync(state('report.error'), 'utf8')).toContain('E_DEVICE_IN_USE');
  });

  test('of a failure does not leave an earlier report', () => {
    node('verify');
    fake('exit 2');
    node('verify');
    expect(existsSync(state('report.json'))).toBe(false);
  });

  test('that is missing, old, of tomorrow or of another boot does not count', () => {
    expect(verdict()).toEqual(['wcvmm: not verified: no verdict', 1]);
    node('verify');
    const kept = readFileSync(state('verdict'), 'utf8');
    const put = (text: string): void => writeFileSync(state('verdict'), text);
    const now = Math.floor(Date.now() / 1000);
    put(kept.replace(/^time=.*$/m, `time=${now - 90_000}`));
    expect(verdict()).toEqual(['wcvmm: not verified: stale: older than 86400 seconds', 1]);
    put(kept.replace(/^time=.*$/m, `time=${now + 90_000}`));
    expect(verdict()[1]).toBe(1);
    put(kept.replace(/^time=.*$/m, 'time=soon'));
    expect(verdict()[1]).toBe(1);
    put(kept.replace(/^boot=.*$/m, 'boot=another'));
    expect(verdict()).toEqual(['wcvmm: not verified: stale: from before the last boot', 1]);
    put('wcvmm: as predicted\n');
    expect(verdict()[1]).toBe(1);
    put(kept);
    expect(verdict()).toEqual(['wcvmm: as predicted', 0]);
  });

  test('that is fresh is not made again, unless something else is asked', () => {
    node('verify');
    expect(node('verify', '--unless-fresh').stdout).toBe('wcvmm-node: fresh\n');
    expect(node('fresh').status).toBe(0);
    expect(calls()).toHaveLength(3);
    env['WCVMM_ARGUMENTS'] = '--whole';
    expect(node('fresh').status).toBe(1);
    expect(node('verify', '--unless-fresh').stdout).toBe('wcvmm-node: verified\n');
  });
});

test.skipIf(!existsSync(join(projectRoot, 'dist/tool/cli/cli.js')))('by a profile (skipped before the build)', () => {
  const profile = (stage2: string): string => {
    const path = join(folder, 'profile.json');
    const attributes = { device: { stage2: 'Device-nGnRE' }, wc: { stage2 }, default: { stage2: 'Normal-NC' } };
    writeFileSync(path, JSON.stringify({ schema: 'wcvmm.profile/1', kinds: { arm: { emulated: true, attributes } } }));
    return path;
  };
  writeFileSync(join(folder, 'report'), formatReport({ ...armReport(), origin: origin() }));
  Object.assign(env, { WCVMM_PROFILE: profile('Normal-NC'), WCVMM_KIND: 'arm' });
  node('verify');
  expect(verdict()).toEqual(['wcvmm: as expected', 0]);
  profile('Device-nGnRE');
  expect(node('fresh').status).toBe(1);
  node('verify');
  expect(verdict()).toEqual(['wcvmm: differs: wc: stage 2 is Normal-NC, expected Device-nGnRE', 1]);
  env['WCVMM_KIND'] = 'new';
  node('verify');
  expect(verdict()).toEqual(['wcvmm: not verified: unknown kind: the profile has no new', 1]);
  env['WCVMM_PROFILE'] = join(folder, 'none.json');
  node('verify');
  expect(verdict()[0]).toMatch(/^wcvmm: not verified: E_PROFILE/);
});

describe('while it is verified', () => {
  test.each(['SIGINT', 'SIGHUP', 'SIGTERM'] as const)('%s gives the device back', async (signal) => {
    const child = await begun();
    const end = ended(child);
    child.kill(signal);
    expect(await end).toBe(2);
    expect(calls().slice(-2)).toEqual(['ended', 'unbind 0000:ff:1f.7']);
    expect(verdict()).toEqual(['wcvmm: not verified: stopped', 1]);
    expect(existsSync(state('lock'))).toBe(false);
  });

  test('there is no second one, and no verdict; a lock whose holder was killed does not count', async () => {
    const child = await begun();
    expect(node('verify')).toMatchObject({
      status: 2,
      stderr: 'wcvmm-node: this instance is being verified already\n',
    });
    expect(verdict()).toEqual(['wcvmm: being verified', 3]);
    const holder = readlinkSync(state('lock'));
    const end = ended(child);
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await end;
    symlinkSync(holder, state('again'));
    expect(verdict()).toEqual(['wcvmm: not verified: no verdict', 1]);
    fake(`cat ${folder}/report`);
    expect(node('verify').status).toBe(0);
  });
});

/** Resolves when `wcvmm verify` runs, which then goes on until it is told to end. */
async function begun(): Promise<ChildProcess> {
  fake(`trap 'echo ended >>${folder}/calls; exit 2' TERM; echo up >&3; while :; do sleep 0.05; done`);
  const child = spawn(NODE, ['verify'], { env, stdio: ['ignore', 'ignore', 'inherit', 'pipe'], detached: true });
  await new Promise((resolve) => void child.stdio[3]?.once('data', resolve));
  return child;
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => void child.on('exit', resolve));
}
