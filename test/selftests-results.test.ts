import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareResults, totalsOf } from '../kernel-patches/tools/selftests/compare.ts';
import { nameOf, runsOn, selftestsOf } from '../kernel-patches/tools/selftests/programs.ts';
import { outcomes } from '../kernel-patches/tools/selftests/tap.ts';
import { comparisonText, kernelText } from '../kernel-patches/tools/selftests/text.ts';
import { Transcript, type Result } from '../kernel-patches/tools/selftests/transcript.ts';

function brief(text: string, code: number): string[] {
  return outcomes(text.split('\n'), code).map(
    ({ test, status, reason }) => `${test ?? '*'} ${status}${reason === null ? '' : `: ${reason}`}`,
  );
}

describe('what a program says', () => {
  it('is a result for each line of TAP, with the reason that the harness wrote above it', () => {
    const text = `TAP version 13
1..4
#  RUN           a.works ...
ok 1 a.works
#  RUN           a.fails ...
# t.c:115:fails:Expected 0 (0) == ret (-25)
# fails: Test terminated by assertion
not ok 2 a.fails
#      SKIP      mmap() failed: Invalid argument (22)
ok 3 a.skips # SKIP mmap() failed: Invalid argument (22)
ok 4 a.works`;
    expect(brief(text, 1)).toEqual([
      'a.works pass',
      'a.fails fail: Expected 0 (0) == ret (-25)',
      'a.skips skip: mmap() failed: Invalid argument (22)',
      'a.works (2) pass',
    ]);
  });

  it('is one result where there is no TAP', () => {
    expect(brief('Random seed: 0x1', 0)).toEqual(['* pass']);
    expect(brief('No driver found for device 0000:01:00.0\n', 4)).toEqual([
      '* skip: No driver found for device 0000:01:00.0',
    ]);
    expect(brief('1..0 # SKIP - Requirement not met: cap', 4)).toEqual(['* skip: - Requirement not met: cap']);
    expect(brief('', 255)).toEqual(['* fail: exit code 255: it printed nothing']);
  });

  it("is KVM's assertion where one failed", () => {
    const text =
      '==== Test Assertion Failure ====\n  t.c:9: actual == expected\n  pid=7 tid=7 errno=4 - Interrupted system call\nsh: addr2line: not found\n     1\t0x0000 (inlined by) main\n  SPTE is 0x1, expected type bits 0x8\n';
    expect(brief(text, 254)).toEqual([
      '* fail: exit code 254: t.c:9: actual == expected SPTE is 0x1, expected type bits 0x8',
    ]);
  });

  it('is a failure where the end does not fit the tests', () => {
    expect(brief('1..2\nok 1 a', 139)).toEqual(['a pass', '* fail: 1 of 2 tests reported, exit code 139']);
    expect(brief('1..1\nok 1 a', 139)).toEqual(['a pass', '* fail: exit code 139 though no test failed']);
    expect(brief('1..3\nok 1 a', 137)).toEqual(['a pass', '* fail: it was stopped because it took too long']);
    expect(brief('1..1\n', 0)).toEqual(['* fail: 0 of 1 tests reported, exit code 0']);
  });

  it('always is something, whatever it wrote', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('1..2', '1..0', 'ok 1 a', 'not ok 2 b', 'ok 3 c # SKIP', '# Totals:'),
    );
    fc.assert(
      fc.property(fc.array(line), fc.nat(255), (lines, code) => {
        expect(outcomes(lines, code)).not.toHaveLength(0);
      }),
    );
  });
});

function read(
  text: string,
  size = text.length,
): { results: readonly Result[]; running: string | null; begun: string[] } {
  const begun: string[] = [];
  const transcript = new Transcript(
    new Map([['iommufd', 'no CONFIG_IOMMUFD_TEST']]),
    (program, device) => void begun.push(`${program} ${device ?? '-'}`),
  );
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) transcript.take(bytes.subarray(at, at + size));
  return { results: transcript.results, running: transcript.running, begun };
}

describe('what the instance says', () => {
  const text =
    '::begin a 0000:01:00.0\n1..1\nok 1 t – ü\n\n::log\nvfio-pci: reset done\n\n::end 0\n::begin iommufd -\n::unfit\n::begin b -\nfine\n\n::log\nBUG: KASAN: use-after-free in f\n\n::end 0\n';

  it('is each program with its device, and what the kernel complained of', () => {
    const { results, begun } = read(text);
    expect(begun).toEqual(['a 0000:01:00.0', 'iommufd -', 'b -']);
    expect(results).toEqual([
      { program: 'a', device: '0000:01:00.0', test: 't – ü', status: 'pass', reason: null },
      { program: 'iommufd', device: null, test: null, status: 'skip', reason: 'no CONFIG_IOMMUFD_TEST' },
      { program: 'b', device: null, test: null, status: 'pass', reason: null },
      {
        program: 'b',
        device: null,
        test: "the kernel's log",
        status: 'fail',
        reason: 'BUG: KASAN: use-after-free in f',
      },
    ]);
  });

  it.each([
    ['BUG: KASAN: use-after-free in f', 'fail'],
    ['watchdog: BUG: soft lockup - CPU#0 stuck for 26s!', 'fail'],
    ['WARNING: possible circular locking dependency detected', 'fail'],
    ['../mm/pgtable-generic.c:40: bad pud 00000000d6bab2c8(80000380000001e7)', 'fail'],
    ['general protection fault, probably for non-canonical address', 'fail'],
    ['DEBUG: nothing', null],
    ['vfio-pci 0000:01:00.0: resetting', null],
  ])('of a log, %s means %s', (line, status) => {
    const { results } = read(`::begin a -\n1..1\nok 1 t\n\n::log\n${line}\n\n::end 0\n`);
    expect(results.find(({ test }) => test === "the kernel's log")?.status ?? null).toBe(status);
  });

  it('may come in any pieces', () => {
    const whole = read(text).results;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: text.length }), (size) => {
        expect(read(text, size).results).toEqual(whole);
      }),
    );
  });

  it('tells which program did not end', () => {
    expect(read('::begin a 0000:01:00.0\nok').running).toBe('a 0000:01:00.0');
  });

  it('takes a marker out of its place for a line, and moves no cursor', () => {
    const { results } = read(
      '::end 0\n::log\n::begin ../x -\n::begin a -\n::begin b -\n::end 0\n\u001B[2Jok\u0007\n::unfit\n::log\n::end 4\n',
    );
    expect(results).toEqual([{ program: 'a', device: null, test: null, status: 'skip', reason: '::unfit' }]);
    expect(read('::begin a -\n\u001B[2Jwhy\u0007\n::log\n::end 4\n').results[0]?.reason).toBe('[2Jwhy');
  });

  it('is bounded', () => {
    const lines = '::begin a -\n::log\n::end 0\n'.repeat(3000);
    expect(read(lines).results).toHaveLength(1000);
    expect(read(`::begin a -\n${'x'.repeat(100_000)}\n::log\n::end 4\n`).results[0]?.reason).toHaveLength(500);
    expect(read(`::begin a -\n${'x\n'.repeat(100_000)}last\n::log\n::end 4\n`).results[0]?.reason).toBe('x');
  });
});

function result(test: string, status: Result['status'], reason: string | null = null): Result {
  return { program: 'p', device: null, test, status, reason };
}

function failure(device: string, test: string | null): Result {
  return { program: 'q', device, test, status: 'fail', reason: 'no' };
}

describe('a program that crashes stock kernels on x86', () => {
  const name = 'vfio_pci_mmap_huge_test';
  const on = (arch: string, kernel: 'stock' | 'patched', asked?: readonly string[]): boolean =>
    selftestsOf(arch).programs.some((program) => nameOf(program) === name && runsOn(program, kernel, asked));

  it('runs there only if it is asked for', () => {
    expect([on('x86-amd', 'stock'), on('x86-amd', 'stock', [name]), on('x86-amd', 'stock', ['other'])]).toEqual([
      false,
      true,
      false,
    ]);
    expect([on('x86-amd', 'patched'), on('arm64', 'stock'), on('arm64', 'patched')]).toEqual([true, true, true]);
  });
});

describe('two kernels', () => {
  it('are alike, or the second passes where the first has nothing to test; all else is a difference', () => {
    const before = [
      result('same', 'pass'),
      result('broken', 'fail'),
      result('new', 'skip'),
      result('worse', 'pass'),
      result('gone', 'pass'),
      result('mended', 'fail'),
      result('dropped', 'pass'),
    ];
    const after = [
      result('same', 'pass'),
      result('broken', 'fail'),
      result('new', 'pass'),
      result('worse', 'fail', 'why'),
      result('mended', 'pass'),
      result('dropped', 'skip'),
      result('added', 'pass'),
      result('bad', 'fail'),
    ];
    const { same, gained, different } = compareResults(before, after);
    expect(same.map(({ test }) => test)).toEqual(['same', 'broken']);
    expect(gained.map(({ test }) => test)).toEqual(['new', 'added']);
    expect(
      different.map(
        (pair) => `${pair.before?.status ?? '-'} ${pair.after?.status ?? '-'} ${(pair.after ?? pair.before)?.test}`,
      ),
    ).toEqual(['pass fail worse', 'fail pass mended', 'pass skip dropped', '- fail bad', 'pass - gone']);
  });

  it('are told in words', () => {
    const before = [result('a', 'pass'), result('n', 'skip', 'none')];
    const after = [result('a', 'fail', 'why'), result('n', 'pass')];
    expect(
      kernelText('x86-amd', {
        kernel: 'debug',
        results: [failure('0000:01:00.0', null), failure('0000:02:00.0', 't')],
      }),
    ).toContain(`
  q, 2 devices                                  2 fail
    FAIL 0000:01:00.0: no
    FAIL 0000:02:00.0 t: no
`);
    expect(kernelText('arm64', { kernel: 'stock', results: before })).toBe(`arm64, stock kernel
  p                                             1 pass, 1 skip
    skip 1: none
  all                                           1 pass, 1 skip

`);
    expect(comparisonText('stock', 'patched', compareResults(before, after)))
      .toBe(`patched does what stock does: nothing
patched passes where stock has nothing to test: 1 pass
  p: 1
1 difference
  p a: stock pass, patched fail (why)
`);
    expect(totalsOf(after)).toEqual({ pass: 1, fail: 1, skip: 0 });
  });
});
