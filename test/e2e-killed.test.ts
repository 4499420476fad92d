import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { whyNoKvm } from './own-kvm.ts';
import { insideScript } from './support.ts';

describe('memory that the host cannot provide', () => {
  const why = whyNoKvm();
  const BROKEN = /gpa 0x80002000, 8K into the memory in place of a BAR \(wc\).*: the host has no page to give/;

  // With a KVM in software the access comes to the VMM instead.
  test.skipIf(why !== null)(`on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['dist/test/inside/killed.js'], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const { broken, whole } = JSON.parse(stdout) as {
      broken: { sentence: string };
      whole: { kind: string; sentence: null };
    };
    expect(broken.sentence).toMatch(BROKEN);
    expect(whole).toEqual({ kind: 'done', sentence: null });
  });

  test('in an emulated x86 instance, where KVM says no more than EFAULT', async () => {
    const { stdout } = await insideScript('killed', [], { arch: 'x86-amd' });
    const line = stdout.split('\n').find((text) => text.startsWith('{')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({
      broken: { kind: 'killed', sentence: expect.stringMatching(BROKEN) as string },
      whole: { kind: 'done', sentence: null },
    });
  });
});
