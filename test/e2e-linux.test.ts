/** Linux as a guest, with the testbed's own kernel, on arm64 and on x86. */
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { guestFiles } from './guest-initramfs.ts';
import { inOneBoot } from './support.ts';
import { INSTANCES } from './linux-guests.ts';

const DEVICE = '0000:01:00.0';

describe.each(INSTANCES)('Linux in the $arch testbed', async ({ arch, kernelArch }) => {
  const { kernel, initrd, remove } = await guestFiles(kernelArch);
  afterAll(remove);
  const notKernel = join(dirname(kernel), 'not-a-kernel');
  await writeFile(notKernel, Buffer.from([0x1f, 0x8b, 0x08]));
  const large = join(dirname(kernel), 'large');
  await writeFile(large, Buffer.alloc(40 << 20));
  // An x86 instance for Linux guests has one CPU. On a busy host a guest's Linux gives up others that have not begun within 10 s.
  const cpus = arch === 'arm64' ? 4 : 1;
  const linux = (...more: readonly string[]): readonly string[] => [
    'run',
    '--kernel',
    basename(kernel),
    '--initrd',
    basename(initrd),
    '--timeout',
    '120',
    ...more,
  ];
  const [one, big, typed, reboot, tooSmall, gzip, lost, devices] = await inOneBoot(
    [
      linux('--memory', '64M'),
      linux('--cpus', String(cpus), '--memory', '6G'),
      { args: linux('--append', 'quiet task=echo'), after: 'name? ', input: 'Jürgen\n\n' },
      linux('--append', 'quiet task=reboot', '--no-reboot'),
      ['run', '--kernel', basename(kernel), '--initrd', basename(large), '--memory', '32M'],
      ['run', '--kernel', basename(notKernel)],
      {
        args: linux('--append', 'quiet task=echo', '-d', DEVICE),
        after: 'name? ',
        shell: `echo ${DEVICE} >/sys/bus/pci/devices/${DEVICE}/driver/unbind`,
      },
      ['devices', '--json', '-'],
    ],
    { arch, inputs: [kernel, initrd, notKernel, large], timeout: 900 },
  );

  test('boots with 64 MiB and powers off', () => {
    expect(one).toMatchObject({ code: 0, stderr: '' });
    expect(one?.stdout).toMatch(/^guest: 1 CPUs, \d+ MiB, up \d+ s\r$/m);
    expect(one?.stdout).toMatch(/^guest: ends\r$/m);
  });

  test(`finds ${cpus} CPUs, and memory above 4 GiB that the instance does not have`, () => {
    expect(big?.code).toBe(0);
    const [, found, memory] = /^guest: (\d+) CPUs, (\d+) MiB/m.exec(big?.stdout ?? '') ?? [];
    expect(Number(found)).toBe(cpus);
    expect(Number(memory)).toBeGreaterThan(5500);
  });

  test('reads what is typed, after a prompt without a newline, in UTF-8', () => {
    expect(typed?.stdout).toContain('name? ');
    expect(typed?.stdout).toContain('you typed: Jürgen');
    expect(typed?.code).toBe(0);
  });

  test('ends with a code of its own where it asks for a reboot and is not to have one', () => {
    expect(reboot?.code).toBe(4);
    expect(reboot?.stderr).toContain('--no-reboot');
  });

  test('gives a device back that somebody unbinds, and says why it ends', () => {
    expect(lost).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`E_DEVICE_LOST: the kernel wants ${DEVICE}`),
    });
    const found = JSON.parse(devices?.stdout ?? '') as { devices: { address: string; driver: string | null }[] };
    expect(found.devices.find(({ address }) => address === DEVICE)).toMatchObject({ driver: null });
  });

  test('what cannot be is refused with a sentence', () => {
    expect([tooSmall?.code, tooSmall?.stderr]).toEqual([
      2,
      expect.stringMatching(/E_GUEST_IMAGE: the initrd .*--memory/),
    ]);
    expect([gzip?.code, gzip?.stderr]).toEqual([2, expect.stringMatching(/E_GUEST_IMAGE: .*compressed with gzip/)]);
  });
});
