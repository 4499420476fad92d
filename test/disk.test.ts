/** File systems that are full or read-only, and two runs that want the same of the cache at once. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheRoot } from '../common/cache.ts';
import { explainDisk } from '../common/disk.ts';
import { WcvmmError } from '../common/errors.ts';
import { whyNoKvm } from './own-kvm.ts';

const CLI = 'dist/tool/cli/cli.js';
const noRoot = process.geteuid?.() === 0 ? null : 'only root may mount';
const noRuns = noRoot ?? whyNoKvm();
const because = (why: string | null): string => (why === null ? '' : ` (skipped: ${why})`);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A shell whose mounts are its own. $1 is an empty folder, $2 the command line. */
function shell(script: string, variables: Readonly<Record<string, string>> = {}): Ended {
  const command = ['--mount', 'sh', '-c', `set -e\nsmall=$1\nwcvmm="${process.execPath} $2"\n${script}`];
  return spawnSync('unshare', [...command, 'sh', folder, CLI], {
    encoding: 'utf8',
    env: { ...process.env, ...variables },
  });
}

const FULL = 'mount -t tmpfs -o size=64k tmpfs "$small"; dd if=/dev/zero of="$small/fill" bs=4k 2>/dev/null || :';

describe('what node:fs says', () => {
  it.each([
    ['ENOSPC', /full/],
    ['EDQUOT', /full/],
    ['EROFS', /read-only/],
  ])('%s is explained, with what was to be written', (code, sentence) => {
    const error = Object.assign(new Error('write'), { code, path: '/there' });
    expect(explainDisk(error)).toMatchObject({ code: 'E_DISK', cause: error });
    expect(explainDisk(error)?.message).toMatch(/^\/there could not be written/);
    expect(explainDisk(error, '/cache/it')?.message).toMatch(sentence);
    expect(explainDisk(error, '/cache/it')?.message).toMatch(/^\/cache\/it could not/);
  });

  it('anything else is not', () => {
    const explained = new WcvmmError('E_TESTBED', 'no');
    expect(
      [new Error('write'), Object.assign(new Error('x'), { code: 'ENOENT' }), explained, 'ENOSPC'].map((error) =>
        explainDisk(error),
      ),
    ).toEqual([null, null, null, null]);
  });
});

describe('a full file system', () => {
  it.skipIf(noRuns !== null).each([
    ['a report', 'verify --source memory --json "$small/report"'],
    ['a report, without the sandbox', 'verify --source memory --no-sandbox --html "$small/report"'],
    ['a text for monitoring', 'verify --source memory --prom "$small/wcvmm.prom"'],
    ['the findings of doctor', 'doctor --json "$small/findings"'],
  ])(`has no half of %s${because(noRuns)}`, (_name, command) => {
    const { stdout, stderr } = shell(`${FULL}\n$wcvmm ${command} >/dev/null || echo "code $?"; ls "$small"`);
    expect(stdout).toBe('code 2\nfill\n');
    expect(stderr).toMatch(/^wcvmm: E_REPORT: .*ENOSPC/m);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

/** A cache of this test's own in $small: all that arm64 needs but the initramfs. Files have two names where both folders are on one disk. */
const CACHE = `
mkdir -p "$small/wcvmm/rootfs/arm64" "$small/wcvmm/kernel"
for part in compiled npm linux-source kernel/arm64 rootfs/arm64/base; do
	cp -al "$cache/$part" "$small/wcvmm/$part" 2>/dev/null || cp -a "$cache/$part" "$small/wcvmm/$part"
done
export XDG_CACHE_HOME="$small"
`;

/** The same where it cannot be filled. */
const NO_ROOM = `
mkdir -p "$small/wcvmm/rootfs/arm64"
for part in compiled npm linux-source kernel rootfs/arm64/base; do ln -s "$cache/$part" "$small/wcvmm/$part"; done
export XDG_CACHE_HOME="$small"
`;

describe('the cache', () => {
  it.skipIf(noRoot !== null)(
    `on a full file system has no half file, and one sentence says so${because(noRoot)}`,
    () => {
      const script = `mount -t tmpfs -o size=1m tmpfs "$small"${NO_ROOM}$wcvmm testbed exec --arch arm64 -- true || echo "code $?"; find "$small" -type f`;
      const { stdout, stderr } = shell(script, { cache: cacheRoot() });
      expect(stdout).toBe('code 2\n');
      expect(stderr).toMatch(
        /^wcvmm: E_DISK: \S+\/wcvmm\/rootfs\/arm64\/initramfs\/\w+\.cpio could not be written, because its file system is full \(ENOSPC\)[^\n]*\n$/m,
      );
    },
  );

  it.skipIf(noRoot !== null)(`that may only be read says so where something has to be made${because(noRoot)}`, () => {
    const script = `mount -t tmpfs tmpfs "$small"${NO_ROOM}mount -o remount,ro "$small"\n$wcvmm testbed exec --arch arm64 -- true || echo "code $?"`;
    const { stdout, stderr } = shell(script, { cache: cacheRoot() });
    expect(stdout).toBe('code 2\n');
    expect(stderr).toMatch(/^wcvmm: E_DISK: .* file system is read-only \(EROFS\)[^\n]*\n$/m);
  });

  it.skipIf(noRoot !== null)(
    `that may only be read, and for temporary files no room either, is told apart${because(noRoot)}`,
    () => {
      const script = `mount -t tmpfs -o ro tmpfs "$small"; TMPDIR="$small" $wcvmm testbed exec --arch arm64 -- true || echo "code $?"`;
      const { stdout, stderr } = shell(script);
      expect(stdout).toBe('code 2\n');
      expect(stderr).toMatch(/^wcvmm: E_DISK: \S*wcvmm-session-\S* could not be written.*EROFS/m);
    },
  );

  it.skipIf(noRoot !== null)(
    `is shared by two runs that begin at once, and serves a third when it may only be read${because(noRoot)}`,
    () => {
      const script = `${CACHE}
run() { $wcvmm testbed exec --arch arm64 -- true; }
run & one=$!
run & two=$!
wait $one; wait $two
ls -A "$small/wcvmm/rootfs/arm64/initramfs"
mount --bind "$small" "$small"; mount -o remount,bind,ro "$small"
run; ! touch "$small/there" 2>/dev/null; echo done`;
      const { stdout, stderr } = shell(script, { cache: cacheRoot() });
      expect([stdout, stderr]).toEqual([expect.stringMatching(/^\w+\.cpio\ndone\n$/), '']);
    },
  );
});

describe('standard output', () => {
  it('that is full ends with a sentence, not with a stack', () => {
    const { status, stderr } = spawnSync('sh', ['-c', `${process.execPath} ${CLI} --help >/dev/full`], {
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^wcvmm: E_DISK: standard output could not be written, because its file system is full[^\n]*\n$/,
    );
  });

  it('whose reader has gone is no error', () => {
    const script = `${process.execPath} ${CLI} --help | :; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });
});
