import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from '../common/paths.ts';

function run(...args: readonly string[]): { code: number | null; stderr: string; lines: readonly string[] } {
  const { status, stdout, stderr } = spawnSync(join(projectRoot, 'kernel-patches/lifetime/run'), args, {
    encoding: 'utf8',
  });
  return { code: status, stderr, lines: stdout.trimEnd().split('\n') };
}

const starting = (lines: readonly string[], word: string): readonly string[] =>
  lines.filter((line) => line.startsWith(word));

/** What these machines do not have. Anything else that is left out is a mistake of the checks, or of the testbed. */
const MISSING: Readonly<Record<string, readonly string[]>> = {
  arm64: ['skip revoke: 0000:01:00.0, D3: the device cannot do that, Operation not supported'],
  'x86-amd': [
    'skip regions: no device given with a BAR that shares a page with another',
    'skip revoke: 0000:01:00.0, D3: the device cannot do that, Operation not supported',
    'skip revoke: 0000:02:00.0, hot reset: the device cannot do that, Inappropriate ioctl for device',
    'skip large: no device given with a BAR of more than 1 TiB',
  ],
};

describe.each(['arm64', 'x86-amd'])('single answers and lifetimes of cookies on %s', (arch) => {
  it('are as the uAPI says', () => {
    const { code, stderr, lines } = run(arch);
    expect(starting(lines, 'FAIL')).toEqual([]);
    expect(starting(lines, 'skip')).toEqual(MISSING[arch]);
    expect(stderr).toBe('');
    const passed = starting(lines, 'ok ').length;
    expect(passed).toBeGreaterThan(700);
    expect(lines.at(-1)).toContain(`: ${passed} passed, 0 failed`);
    expect(code).toBe(0);
  });
});

it('the checks find mappings that outlive the memory, made with cookies and with nothing else', () => {
  const { code, lines } = run('arm64', 'old-zap');
  const failed = starting(lines, 'FAIL');
  const found = ['memory off', 'low power', 'reset', 'hot reset', 'D3'].flatMap((event) =>
    ['default', 'device', 'wc']
      .filter((way) => failed.some((line) => line.includes(` ${event}, `) && line.endsWith(`: ${way}`)))
      .map((way) => `${event}, ${way}`),
  );
  expect(found).toHaveLength(15);
  const groups = new Set(failed.map((line) => line.slice('FAIL '.length, line.indexOf(':'))));
  expect([...groups]).toEqual(['revoke', 'vma', 'process', 'two files', 'DMA-buf', 'large', 'unbind']);
  expect(failed.filter((line) => line.endsWith(': legacy'))).toEqual([]);
  expect(code).toBe(1);
});
