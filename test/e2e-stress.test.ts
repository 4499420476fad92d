import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { machineOf } from '../testbed/machine/index.ts';
import { projectRoot } from '../common/paths.ts';
import { inTestbed } from './support.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One short round on the ordinary kernel; `kernel-patches/stress/run` is the thorough one, on the debug kernel. */
describe.each(['arm64', 'x86-amd'])('cookies from many threads on %s', (arch) => {
  it('get only answers that the uAPI allows, and the kernel log stays clean', async () => {
    const program = join(folder, 'stress');
    execFileSync(`${machineOf(arch).kernel.crossCompile}gcc`, [
      '-O2',
      '-static',
      '-pthread',
      '-o',
      program,
      ...['stress/stress.c', 'lifetime/node.c'].map((file) => join(projectRoot, 'kernel-patches', file)),
    ]);
    const script = `dmesg -c >/dev/null; chmod +x stress; ./stress 1 0000:01:00.0 0000:02:00.0; echo code $?; dmesg | grep -cE -f complaints -e 'Call [Tt]race'`;
    const { stdout, stderr } = await inTestbed({
      arch,
      run: { kind: 'program', args: ['sh', '-c', script] },
      inputs: [program, join(projectRoot, 'kernel-patches/complaints')],
    });
    expect(stderr).toBe('');
    const lines = stdout.trimEnd().split('\n');
    expect(lines.slice(-2)).toEqual(['code 0', '0']);
    expect(
      lines.filter((line) => /: [1-9]\d* cookies, [1-9]\d* mappings, [1-9]\d* touches, .* 0 wrong answers$/.test(line)),
    ).toHaveLength(2);
  });
});
