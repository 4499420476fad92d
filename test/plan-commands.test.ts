import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');

test.each([
  ['verify', '-d', '0000:01:00.0'],
  ['compare', '--source', 'memory'],
  ['bench', '-d', '0000:01:00.0'],
  ['run', 'guest.elf'],
  // No instance is booted for a map that cannot be read.
  ['verify', '--testbed', 'arm64'],
])('%s %s %s shows the place of a mistake in a map, and how one is written', (...args) => {
  const { status, stderr } = spawnSync(
    process.execPath,
    [cli, ...args, '-m', 'bar2:0-64K=device', '--map', 'bar2:64KB-=wc'],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe(
    [
      'wcvmm: E_MAP_SYNTAX: cannot use this map: expected a size such as 4096, 0x1000, 64K, 1M or 2G',
      '  bar2:64KB-=wc',
      '       ^',
      '  a map is barN[:START-END | :START+LENGTH]=ATTRIBUTE, as in bar2:0-64K=device or bar2:64K-=wc',
      '',
    ].join('\n'),
  );
  expect(status).toBe(2);
});
