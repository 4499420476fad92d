import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Report } from '../tool/report/report.ts';
import { whyNoKvm } from './own-kvm.ts';

const CLI = 'dist/tool/cli/cli.js';
const GUESTS = process.arch === 'arm64' ? 'arm64-tests/build' : 'x86-tests/build';

const why = whyNoKvm();

function run(guest: string, ...options: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, 'run', '--source', 'memory', ...options, `${GUESTS}/${guest}.elf`], {
    encoding: 'utf8',
  });
}

/** Has the process a vCPU? Then its guest runs, or is about to. */
function hasVcpu(pid: number): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).includes('kvm-vcpu');
    } catch {
      return false;
    }
  });
}

describe.skipIf(why !== null)(`this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('runs a guest on memory, from VM to exit', () => {
    const { status, stdout } = run('guest');
    expect(stdout).toMatch(/^wcvmm \w+ guest: 0 cells, 3 windows$/m);
    expect(status).toBe(0);
  });

  test.each([
    ['bad-status', 'E_GUEST_EXIT', []],
    ['bad-stray', 'E_GUEST_EXIT', []],
    ['bad-exception', 'E_GUEST_EXIT', []],
    ['bad-loop', 'E_GUEST_TIMEOUT', ['--timeout', '0.5']],
  ] as const)('%s ends with %s', (guest, code, options) => {
    const { status, stderr } = run(guest, ...options);
    expect(stderr).toContain(`wcvmm: ${code}: `);
    expect(status).toBe(2);
  });

  test('answers every question of a trapped window, also where that ends a VM', () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [CLI, 'verify', '--source', 'memory', '-m', 'bar2:0-64K=device', '--enforce', '--json', '-'],
      { encoding: 'utf8' },
    );
    const { windows, checks, summary } = JSON.parse(stdout) as Report;
    expect(
      windows.map(({ trapped, stage2 }) => [
        trapped !== undefined && trapped.exits > 1000,
        stage2.predicted === 'trapped',
      ]),
    ).toEqual([
      [true, true],
      [false, false],
    ]);
    expect([summary.mismatch, summary.skipped, status]).toEqual([0, 0, 0]);
    for (const probe of ['data-read', 'data-write', 'unaligned-store']) {
      expect(
        checks.filter((check) => check.window === 0 && check.probe === probe && check.verdict === 'match').length,
      ).toBeGreaterThanOrEqual(2);
    }
  });

  test('refuses to trap where nobody asked for a strict window', () => {
    const { status, stderr } = run('guest', '-m', 'bar2=wc', '--enforce');
    expect(stderr).toContain('wcvmm: E_USAGE: --enforce ');
    expect(status).toBe(2);
  });

  test('stops a guest that never ends when it is interrupted', async () => {
    const child = spawn(process.execPath, [CLI, 'run', '--source', 'memory', `${GUESTS}/bad-loop.elf`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = once(child, 'exit');
    while (child.exitCode === null && !hasVcpu(child.pid ?? 0)) await setImmediate();
    child.kill('SIGINT');
    expect(await ended).toEqual([2, null]);
    expect(stderr).toContain('wcvmm: E_INTERRUPTED: ');
  });
});
