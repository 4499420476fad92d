import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runProgram } from '../common/program.ts';
import { temporaryFolder } from '../common/temporary.ts';
import { WcvmmError } from '../common/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  vi.stubEnv('TMPDIR', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it('killed when it has a session, when its instance has booted and while guests run, a verification leaves nothing that the next does not remove', () => {
  const { stdout, status } = spawnSync(process.execPath, ['dist/test/inside/kills.js', 'events'], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^3 kills, 0 came too late; [^✗]*✓ nothing is left/)]);
});

describe('temporary folders', () => {
  it('of processes that are gone are removed, and no others', async () => {
    const own = await temporaryFolder('session');
    const [, namespace = ''] = /wcvmm-session-(\d+)-/.exec(own) ?? [];
    // No process has a number so high.
    mkdirSync(join(folder, `wcvmm-session-${namespace}-4194999.abcdef`));
    mkdirSync(join(folder, `wcvmm-session-${namespace}-4194999-77.abcdef`));
    // This process's number, when another one had it.
    mkdirSync(join(folder, `wcvmm-session-${namespace}-${process.pid}-1.abcdef`));
    const others = [`wcvmm-session-1-4194999.abcdef`, `wcvmm-other-4194999`, 'somebody'];
    for (const name of others) mkdirSync(join(folder, name));
    const next = await temporaryFolder('report');
    const names = [own, next].map((path) => path.slice(folder.length + 1));
    expect(readdirSync(folder).toSorted()).toEqual([...others, ...names].toSorted());
  });
});

it('a program that is run ends with a process that is killed', () => {
  const module = join(process.cwd(), 'dist/common/program.js');
  // Told by the program itself, and by then it is guarded.
  const script = `import { writeFileSync } from 'node:fs';
    import { runProgram } from ${JSON.stringify(module)};
    const onLine = (line) => writeFileSync('pid', line);
    await runProgram('sh', ['-c', 'echo $$; sleep 1000 & wait'], { onLine, failure: (tail) => new Error(tail) });`;
  writeFileSync(join(folder, 'run.mjs'), script);
  // A zombie has ended.
  const killer = `cd ${folder}; node run.mjs & until [ -s pid ]; do :; done; kill -9 $!
    while grep -q '^State:.[^Z]' /proc/$(cat pid)/status 2>/dev/null; do :; done; echo gone`;
  expect(spawnSync('bash', ['-c', killer], { encoding: 'utf8', timeout: 60_000 }).stdout).toBe('gone\n');
});

function failure(tail: string): WcvmmError {
  return new WcvmmError('E_TESTBED', tail);
}

it('and says why where it failed', async () => {
  await expect(runProgram('sh', ['-c', 'echo why; exit 3'], { failure })).rejects.toMatchObject({ message: 'why' });
});
