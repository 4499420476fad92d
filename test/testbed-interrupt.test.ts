import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');

/** Each stage of a build as a target that hangs where HANG names it: a shell with a child, as kbuild's compilers are. */
const MAKEFILE = `VERSION = 7
PATCHLEVEL = 3
hang = $(if $(filter $@,$(HANG)),touch $(MARK); sleep 1000; )true
mrproper:
\t@$(hang)
allnoconfig:
\t@cp $(KCONFIG_ALLCONFIG) .config; $(hang)
Image:
\t@echo "  CC      a.o"; mkdir -p arch/arm64/boot; echo image >arch/arm64/boot/Image; $(hang)
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-interrupt-'));
  for (const name of ['linux', 'tmp']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'linux/Makefile'), MAKEFILE);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Of all processes that were started, directly or not, with this test's folder in their environment; zombies have none. */
function started(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(folder)
          ? [readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')]
          : [];
      } catch {
        return [];
      }
    });
}

interface Interrupted {
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs wcvmm until `ready`, then interrupts it: alone, or with everything in its process group, as Ctrl-C in a terminal does. */
async function interrupt(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  ready: () => boolean,
  whom: 'process' | 'group',
  signal: NodeJS.Signals = 'SIGINT',
): Promise<Interrupted> {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: join(folder, 'tmp'), ...env },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  while (!ready() && child.exitCode === null) await setImmediate();
  process.kill(whom === 'group' ? -(child.pid ?? 0) : (child.pid ?? 0), signal);
  await closed;
  return { code: child.exitCode, stderr };
}

function halfWritten(): readonly string[] {
  return readdirSync(join(folder, 'cache'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.includes('.tmp.'),
  );
}

describe.each(['mrproper', 'allnoconfig', 'Image'])('a kernel build that is interrupted in %s', (stage) => {
  const build = ['kernel', 'build', '--stock', '--linux-source', 'linux'];

  test.each([
    ['process', 'SIGINT'],
    ['group', 'SIGINT'],
    ['process', 'SIGTERM'],
  ] as const)('(the %s, by %s) leaves nothing, and the next one succeeds', async (whom, signal) => {
    const env = { XDG_CACHE_HOME: join(folder, 'cache'), MARK: join(folder, 'mark'), HANG: stage };
    const { code, stderr } = await interrupt(build, env, () => existsSync(env.MARK), whom, signal);
    expect(stderr).toMatch(new RegExp(`wcvmm: E_INTERRUPTED: Stopped by ${signal}`));
    expect(code).toBe(2);
    expect(started()).toEqual([]);
    expect(halfWritten()).toEqual([]);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
    const next = spawnSync(process.execPath, [cli, ...build], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, ...env, HANG: '' },
    });
    expect(readFileSync(next.stdout.trim(), 'utf8')).toBe('image\n');
  });
});

describe.each([
  ['as soon as there is an emulator', ''],
  ['while it boots', '-kernel'],
])('an instance that is interrupted %s', (_when, option) => {
  test.each(['process', 'group'] as const)('is gone (the %s)', async (whom) => {
    const { code, stderr } = await interrupt(
      ['testbed', 'exec', '--stock', '--', 'sleep', '1000'],
      {},
      () => started().some((line) => line.startsWith('qemu-system') && line.includes(option)),
      whom,
    );
    expect(stderr).toContain('wcvmm: E_INTERRUPTED: Stopped by SIGINT');
    expect(code).toBe(2);
    expect(started()).toEqual([]);
    expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
  });
});
