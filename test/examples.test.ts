import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { inTestbed } from './support.ts';

function here(name: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(projectRoot, `dist/examples/${name}.js`), ...args], { encoding: 'utf8' });
}

function inside(...lines: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return inTestbed({ timeout: 300, run: { kind: 'program', args: ['sh', '-c', lines.join('\n')] } });
}

function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

test('predict', () => {
  expect(here('predict').stdout).toBe(
    [
      "default: stage 2 Normal-NC, a guest's Normal-NC becomes Normal-NC, an unaligned load: ok",
      "device: stage 2 Device-nGnRE, a guest's Normal-NC becomes Device-nGnRE, an unaligned load: alignment-fault",
      "wc: stage 2 Normal-NC, a guest's Normal-NC becomes Normal-NC, an unaligned load: ok",
      '',
    ].join('\n'),
  );
});

test.skipIf(!hasKvm())('run-guest, on this machine (needs a /dev/kvm that this user may open)', () => {
  const guest = `${process.arch === 'arm64' ? 'arm64' : 'x86'}-tests/build/bad-status.elf`;
  expect(here('run-guest', guest).stdout).toBe('wcvmm bad guest: status 7\nthe guest ended with status 7\n');
});

describe('in an emulated instance', async () => {
  const folder = '/wcvmm/dist/examples';
  const { code, stdout } = await inside(
    `node ${folder}/map-bar.js 0000:01:00.0 2`,
    `node ${folder}/run-guest.js /wcvmm/arm64-tests/build/guest.elf`,
    `node ${folder}/ci-job.js 0000:01:00.0`,
  );

  test('map-bar', () => {
    expect(stdout).toContain('device: 4096 bytes; wc: 4096 bytes, first word 0x5ca1ab1e\n');
  });

  test('run-guest', () => {
    // It finds no parameters where the tool's guests expect theirs, and says so.
    expect(stdout).toContain('the guest ended with status 1\n');
  });

  test('ci-job', () => {
    expect(stdout).toMatch(
      /bar2 device: stage 2 Device-nGnRE\nbar2 wc: stage 2 Normal-NC\n[^]*\d+ checks match, 0 do not\n/,
    );
    expect(code).toBe(0);
  });
});

test('the page lists every example', () => {
  const page = readFileSync(join(projectRoot, 'examples/README.md'), 'utf8');
  const examples = readdirSync(join(projectRoot, 'examples')).filter((name) => name.endsWith('.ts'));
  expect([...page.matchAll(/^\| \[([\w-]+\.ts)\]/gm)].map(([, name]) => name).toSorted()).toEqual(examples.toSorted());
});
