import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../common/cache.ts';
import { ownMark } from '../common/process-mark.ts';
import { withLock } from '../common/lock.ts';

vi.mock('node:fs/promises', async (importActual) => {
  const actually = await importActual<typeof import('node:fs/promises')>();
  return { ...actually, open: vi.fn(actually.open) };
});
const actual = await vi.importActual<typeof import('node:fs/promises')>('node:fs/promises');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

it('stands where XDG says, and a relative XDG_CACHE_HOME is ignored as its specification asks', () => {
  vi.stubEnv('XDG_CACHE_HOME', '/var/cache/me');
  expect(cacheRoot()).toBe('/var/cache/me/wcvmm');
  vi.stubEnv('XDG_CACHE_HOME', 'here');
  vi.stubEnv('HOME', '/home/me');
  expect(cacheRoot()).toBe('/home/me/.cache/wcvmm');
});

it('tells apart parts that join to the same text', () => {
  expect(contentKey('ab', 'c')).toBe(contentKey(Buffer.from('ab'), 'c'));
  expect(contentKey('ab', 'c')).not.toBe(contentKey('a', 'bc'));
  expect(contentKey('a')).not.toBe(contentKey('a', ''));
});

describe('publish', () => {
  it('shows the file only when it is whole', async () => {
    const path = join(folder, 'deep/file');
    await publish(path, async (temporary) => {
      await writeFile(temporary, 'whole');
      expect(existsSync(path)).toBe(false);
    });
    expect(await readdir(join(folder, 'deep'))).toEqual(['file']);
  });

  it('has the disk hold all of it before it has its name, and then the name', async () => {
    const steps: string[] = [];
    vi.mocked(open).mockImplementation(async (path, ...more) => {
      const file = await actual.open(path, ...more);
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        const name = relative(folder, String(path)).replace(/\.tmp\.[^/]*\.made/, 'new');
        steps.push(`sync ${name}`, ...(existsSync(join(folder, 'made')) ? ['made is there'] : []));
      };
      return file;
    });
    await publish(join(folder, 'made'), async (temporary) => {
      await mkdir(join(temporary, 'sub'), { recursive: true });
      await writeFile(join(temporary, 'sub/file'), 'whole');
    });
    vi.mocked(open).mockReset();
    expect(steps).toEqual(['sync new/sub/file', 'sync new/sub', 'sync new', 'sync ', 'made is there']);
  });

  it('leaves nothing when the writing fails', async () => {
    const failing = publish(join(folder, 'file'), async (temporary) => {
      await writeFile(temporary, 'ha');
      throw new Error('disk full');
    });
    await expect(failing).rejects.toThrow('disk full');
    expect(await readdir(folder)).toEqual([]);
  });
});

it('sweeps what dead processes left half written and what is oldest', async () => {
  const dead = spawn('true');
  await once(dead, 'exit');
  await writeFile(join(folder, `.tmp.${dead.pid}.abc.file`), '');
  // This process's number, when another one had it.
  await writeFile(join(folder, `.tmp.${process.pid}-1.abc.file`), '');
  const own = [`.tmp.${process.pid}.abc.file`, `.tmp.${ownMark()}.abc.file`];
  for (const name of own) await writeFile(join(folder, name), '');
  for (const [name, time] of [
    ['old', 1],
    ['middle', 2],
    ['new', 3],
  ] as const) {
    await writeFile(join(folder, name), '');
    await utimes(join(folder, name), time, time);
  }
  await sweepCache(folder, 2);
  expect((await readdir(folder)).sort()).toEqual([...own, 'middle', 'new'].sort());
});

it('does not sweep what somebody was told of and may be about to open', async () => {
  for (const [name, time] of [
    ['told', 1],
    ['old', 2],
    ['new', 3],
  ] as const) {
    await writeFile(join(folder, name), '');
    await utimes(join(folder, name), time, time);
  }
  expect(await inCache(join(folder, 'told'))).toBe(true);
  expect(await inCache(join(folder, 'absent'))).toBe(false);
  await sweepCache(folder, 0);
  expect(await readdir(folder)).toEqual(['told']);
  await utimes(join(folder, 'told'), 1, 1);
  await sweepCache(folder, 0);
  expect(await readdir(folder)).toEqual([]);
});

describe('withLock', () => {
  it('lets one in at a time, and the next one when the first fails', async () => {
    const path = join(folder, 'lock');
    const order: string[] = [];
    const first = withLock(path, async () => {
      order.push('first in');
      await mkdir(join(folder, 'work'));
      order.push('first out');
      throw new Error('first failed');
    });
    const second = withLock(path, async () => {
      order.push('second in');
      await mkdir(join(folder, 'work2'));
      order.push('second out');
    });
    await expect(first).rejects.toThrow('first failed');
    await second;
    expect([order.join(), ['second in', 'second out', 'first in', 'first out'].join()]).toContain(order.join());
    expect(order.indexOf('first out') - order.indexOf('first in')).toBe(1);
  });

  it('is free again when its owner is killed', async () => {
    const path = join(folder, 'lock');
    const owner = spawn(process.execPath, ['-e', ownerProgram, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(owner.stdout, 'data');
    owner.kill('SIGKILL');
    expect(await withLock(path, async () => 'mine')).toBe('mine');
  });

  it('says what is missing where there is no flock', async () => {
    vi.stubEnv('PATH', folder);
    await expect(withLock(join(folder, 'lock'), async () => 'mine')).rejects.toMatchObject({
      code: 'E_TESTBED',
      message: expect.stringContaining('flock of Debian'),
    });
  });

  it('stops waiting when it is told to', async () => {
    const path = join(folder, 'lock');
    const controller = new AbortController();
    await withLock(path, async () => {
      const waiting = withLock(path, async () => 'mine', {
        signal: controller.signal,
        onWait: () => controller.abort(new Error('enough')),
      });
      await expect(waiting).rejects.toThrow('enough');
    });
  });
});

/** Holds the lock as testbed/lock.ts does, in plain JavaScript, because Node 20 runs no TypeScript. */
const ownerProgram = `
  const { spawn } = require('node:child_process');
  const holder = spawn('flock', [process.argv[1], 'sh', '-c', 'echo held; exec cat >/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  holder.stdout.once('data', () => console.log('held'));
`;
