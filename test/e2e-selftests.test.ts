import { describe, expect, test } from 'vitest';
import { compareResults, totalsOf } from '../kernel-patches/tools/selftests/compare.ts';
import { runSelftests } from '../kernel-patches/tools/selftests/index.ts';

const variable = 'WCVMM_TEST_KERNELS';
const why =
  process.env[variable] === '1'
    ? null
    : `it unpacks a kernel tree and compiles selftests for a minute; ${variable}=1 runs it`;

/** The tests of the series alone; `kernel-patches/selftests/run` is all of them. */
const programs = ['vfio_pci_mmap_cookie_test', 'vfio_mmap_attr_test'];

describe.skipIf(why !== null)(`the kernel's selftests of the series${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('have nothing to test on stock, and pass on patched', async () => {
    const [stock, patched] = await runSelftests({ arch: 'arm64', kernels: ['stock', 'patched'], programs });
    expect([totalsOf(stock?.results ?? []), totalsOf(patched?.results ?? [])]).toEqual([
      { pass: 0, fail: 0, skip: 18 },
      { pass: 18, fail: 0, skip: 0 },
    ]);
    expect(compareResults(stock?.results ?? [], patched?.results ?? []).different).toEqual([]);
  });

  test('fail on a kernel whose KVM swaps the memory types', async () => {
    const [wrong] = await runSelftests({ arch: 'x86-amd', kernels: ['wrong-type'], programs });
    const failed = wrong?.results.filter(({ status }) => status === 'fail') ?? [];
    expect(failed.map(({ program, device }) => [program, device])).toEqual(
      ['0000:01:00.0', '0000:02:00.0', '0000:03:00.0'].map((device) => ['vfio_mmap_attr_test', device]),
    );
    expect(failed[0]?.reason).toContain('expected type bits');
  });
});
