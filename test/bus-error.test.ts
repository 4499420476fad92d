import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HANDLER } from '../vmm/sys/bus-error/code.ts';

function run(how: 'caught' | 'as-ever'): { stdout: string; signal: string | null } {
  const { stdout, signal } = spawnSync(process.execPath, ['dist/test/inside/bus-error.js', how], { encoding: 'utf8' });
  return { stdout, signal };
}

it('an access to a device that has gone is told, and ends nothing', () => {
  const { stdout, signal } = run('caught');
  expect(signal).toBeNull();
  expect(JSON.parse(stdout)).toEqual({
    before: [null, null, 0x1234, 'answered'],
    lost: [
      { kind: 'device-lost', offset: 0x1_0008, isWrite: false },
      { kind: 'device-lost', offset: 8, isWrite: true },
    ],
    // Zeroed memory is in its place by now.
    after: ['answered'],
  });
});

it('would be SIGBUS without that', () => {
  expect(run('as-ever')).toEqual({ stdout: '', signal: 'SIGBUS' });
});

it.each([
  ['x64', 'x86', 'gcc', 'objcopy'],
  ['arm64', 'arm64', 'aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-objcopy'],
])('the machine code is what its source assembles to: %s', (machine, name, compiler, objcopy) => {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  try {
    const [object, code] = [join(folder, 'handler.o'), join(folder, 'handler.bin')];
    spawnSync(compiler, ['-c', '-o', object, `vmm/sys/bus-error/handler-${name}.S`]);
    spawnSync(objcopy, ['-O', 'binary', '-j', '.text', object, code]);
    expect(readFileSync(code).toString('base64')).toBe(HANDLER[machine]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
