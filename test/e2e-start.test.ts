import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { exitCodeOf } from '../tool/report/proof.ts';
import { parseReport } from '../tool/report/schema.ts';

/** Versions are this machine's own. */
function withoutVersions(line: string): string {
  return line.replaceAll(/(qemu|bochs)-[\d.]+\d/g, '$1');
}

describe('what npm start shows once everything is built', () => {
  let code: number | undefined;
  let shown: ReadonlySet<string> = new Set();
  beforeAll(async () => {
    const { exitCode, stdout } = await execa(join(projectRoot, 'testbed/start'), {
      reject: false,
      env: { COLUMNS: '100' },
    });
    code = exitCode;
    shown = new Set(stdout.split('\n').map(withoutVersions));
  });

  test('a verdict of every kind of machine, none of them a mismatch', () => {
    expect(code).toBe(0);
    for (const machine of ['arm64', 'x86-amd', 'x86-intel']) {
      const { summary, checks, ...report } = parseReport(
        readFileSync(join(projectRoot, `reports/${machine}.json`), 'utf8'),
      );
      expect([machine, summary.mismatch, summary.skipped]).toEqual([machine, 0, 0]);
      expect(exitCodeOf({ ...report, checks })).toBe(0);
      const observed = checks.filter(({ speaksOf, verdict }) => speaksOf === 'type' && verdict === 'match').length;
      expect([machine, observed > 0]).toEqual([machine, machine === 'arm64']);
    }
  });

  test.each([
    ['README.md', 'wcvmm verify'],
    ['docs/usage.md', 'wcvmm compare: 3 machines'],
  ])('%s: the output of %s is the real one', (page, head) => {
    const blocks = readFileSync(join(projectRoot, page), 'utf8').split('```');
    const block = blocks.find((text) => text.startsWith(`\n${head}\n`)) ?? '';
    const lines = block.split('\n').filter((line) => line !== '' && line !== '…');
    expect(lines.length).toBeGreaterThan(20);
    expect(lines.filter((line) => !shown.has(withoutVersions(line)))).toEqual([]);
  });
});
