/** What an emulator may do while an instance runs on it, in the kernel's own words. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { confined, emulatorUser } from '../testbed/confine.ts';
import { runInTestbed } from '../testbed/index.ts';

const isRoot = process.geteuid?.() === 0;
const skipped = isRoot ? '' : ' (skipped: not root)';
const NONE = '0000000000000000';

function statusOf(pid: string): Readonly<Record<string, string>> {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Object.fromEntries([...text.matchAll(/^(\w+):\s*(\S+)/gm)].map(([, name, value]) => [name, value]));
}

/** The emulator, of which this process or one that it started is the parent. */
function emulatorBelow(pid: string): string | null {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap(
    (task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').match(/\d+/g) ?? [],
  );
  const names = children.map((child) => [child, readFileSync(`/proc/${child}/comm`, 'utf8')] as const);
  return names.find(([, name]) => /^(qemu|bochs)/.test(name))?.[0] ?? null;
}

describe('a running emulator', () => {
  it.skipIf(!isRoot).each([
    ['arm64', '2'],
    ['x86-intel', '0'],
  ])(`of %s is no root, has no capabilities and no new ones${skipped}`, async (arch, seccomp) => {
    let found: Readonly<Record<string, string>> = {};
    await runInTestbed({
      arch,
      run: { kind: 'program', args: ['echo', 'here'] },
      stdout: () => {
        const emulator = emulatorBelow(String(process.pid));
        found = emulator === null ? {} : statusOf(emulator);
      },
    });
    const user = String(emulatorUser());
    expect(found).toMatchObject({ Uid: user, Gid: user, CapPrm: NONE, CapEff: NONE, CapBnd: NONE, NoNewPrivs: '1' });
    // QEMU has a filter of its own; Bochs has none.
    expect(found['Seccomp']).toBe(seccomp);
  });
});

describe('what an emulator is started with', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  /** Runs a shell where an emulator would run. */
  function inside(script: string): { status: number | null; stdout: string } {
    const session = join(folder, 'session');
    mkdirSync(session);
    const [command, ...args] = confined('sh', { folder: session, network: 'none' });
    return spawnSync(command, [...args, '-c', script], { encoding: 'utf8' });
  }

  it.skipIf(!isRoot)(`hides all of root's home but the cache, which cannot be written${skipped}`, () => {
    const home = join(folder, 'home');
    mkdirSync(join(home, 'wcvmm'), { recursive: true });
    writeFileSync(join(home, 'wcvmm', 'kernel'), 'kernel');
    writeFileSync(join(home, 'secret'), 'secret');
    vi.stubEnv('XDG_CACHE_HOME', home);
    const { stdout } = inside(
      `cat ${home}/wcvmm/kernel; cat ${home}/secret || echo ' hidden'; touch ${home}/wcvmm/x || echo read-only; touch own && echo own`,
    );
    expect(stdout).toBe('kernel hidden\nread-only\nown\n');
  });

  it('has no network', () => {
    const { stdout } = inside('tail -n +3 /proc/net/dev | cut -d: -f1');
    expect(stdout.trim()).toMatch(/^(lo)?$/);
  });

  it.skipIf(!isRoot)(`does not begin once its parent is gone${skipped}`, () => {
    const session = join(folder, 'session');
    mkdirSync(session);
    const [command, ...args] = confined('echo', { folder: session, network: 'none' });
    const { stdout } = spawnSync('sh', ['-c', '"$@"; true', 'sh', command, ...args, 'began'], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });
});
