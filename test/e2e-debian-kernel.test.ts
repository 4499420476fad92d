/** `--kernel debian`: Debian's own kernel with its own drivers, as a guest with passed-through devices. */
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { debianKernel } from '../testbed/index.ts';
import { parseReport } from '../tool/report/index.ts';
import { proofOf } from '../tool/report/proof.ts';
import { inOneBoot } from './support.ts';

const [IVSHMEM, NVME] = ['0000:01:00.0', '0000:02:00.0'];

/** Null without a network, and with no such kernel in the cache. */
async function fetched(testbed: string): Promise<Awaited<ReturnType<typeof debianKernel>> | null> {
  try {
    return await debianKernel({ testbed });
  } catch (error) {
    if (error instanceof WcvmmError && error.code === 'E_GUEST_IMAGE') return null;
    throw error;
  }
}

const KERNELS = { arm64: await fetched('arm64'), 'x86-amd': await fetched('x86-amd') };
const WANTED = (['arm64', 'x86-amd'] as const).filter((arch) => KERNELS[arch] !== null);

const why = WANTED.length < 2 ? ' (skipped: they are not in the cache and could not be fetched from Debian)' : '';

test.skipIf(WANTED.length < 2)(`Debian's kernels are there${why}`, () => {
  expect(WANTED).toHaveLength(2);
});

describe.each(WANTED)('%s', async (arch) => {
  const { kernel, initrd } = KERNELS[arch] ?? { kernel: '', initrd: '' };
  const linux = ['--kernel', basename(kernel), '--timeout', '240'];
  const [run, verify] = await inOneBoot(
    [
      [
        'run',
        ...linux,
        '--initrd',
        basename(initrd),
        '--append',
        'quiet panic=-1',
        '-d',
        IVSHMEM,
        '-m',
        `${IVSHMEM}/bar2:0-1M=wc`,
        '-d',
        NVME,
      ],
      ['verify', '--guest', 'linux', ...linux, '-d', IVSHMEM, '--json', '-'],
    ],
    { arch, inputs: [kernel, initrd], timeout: 900 },
  );

  test('says what it found, and powers off', () => {
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run?.stdout).toMatch(/^guest: Linux 6\.\d+\.\d+-\d+-cloud-\w+, 1 CPUs, \d+ MiB, \/init after [\d.]+ s\r?$/m);
    expect(run?.stdout).toMatch(/^guest: 0000:00:01\.0 1af4:1110 driver none\r?$/m);
    expect(run?.stdout).toMatch(/^guest: {3}bar2 0x[0-9a-f]+, 4096 KiB, resource2_wc\r?$/m);
  });

  test('has its own NVMe driver at the controller', () => {
    expect(run?.stdout).toMatch(/^guest: 0000:00:02\.0 1b36:0010 driver nvme\r?$/m);
  });

  test('verifies from inside: stage 2 of each window as predicted, and nothing against it', () => {
    expect(verify).toMatchObject({ code: 0, stderr: 'wcvmm: booting a Linux guest\n' });
    const report = parseReport(verify?.stdout ?? '');
    expect(report.guest?.kernel).toMatch(/-cloud-/);
    const { stage2, checks, notProven } = proofOf(report);
    expect([stage2, notProven, report.summary.mismatch]).toEqual([{ shown: 3, of: 3 }, [], 0]);
    expect(checks.type).toEqual(arch === 'arm64' ? { shown: 18, of: 18 } : { shown: 0, of: 0 });
  });
});
