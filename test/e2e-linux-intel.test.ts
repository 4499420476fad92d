/** Linux as a guest where there is EPT and no IOMMU: it has the device's BAR by memslots, and no DMA. */
import { basename } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { guestFiles } from './guest-initramfs.ts';
import type { GuestFound, GuestRequest } from './inside/linux-devices.ts';
import { findings, inTestbed } from './support.ts';

const DISPLAY = '0000:00:02.0';
const IN_GUEST = '0000:00:01.0';
const BAR = `/sys/bus/pci/devices/${IN_GUEST}/resource0`;
const KIBIBYTES_64 = 65536;

const { kernel, initrd, remove } = await guestFiles('x86', 'guest-devices');
afterAll(remove);
const files = { kernel: basename(kernel), initrd: basename(initrd) };
const guest: GuestRequest = {
  name: 'guest',
  memory: '96M',
  devices: [{ address: DISPLAY, maps: ['bar0:0-64K=device', 'bar0:64K-128K=wc'] }],
  append: `quiet -- enable=${IN_GUEST} load=${BAR}:0 load=${BAR}_wc:${KIBIBYTES_64} load=${BAR}_wc:${2 * KIBIBYTES_64}`,
};
const ran = await inTestbed({
  arch: 'x86-intel',
  run: {
    kind: 'program',
    args: [
      'sh',
      '-c',
      'node /wcvmm/dist/test/inside/linux-devices.js "$1"; shift; exec wcvmm "$@"',
      'sh',
      JSON.stringify({ ...files, guests: [guest] }),
      ...`run --kernel ${files.kernel} --initrd ${files.initrd} --memory 96M --append quiet -d ${DISPLAY} --timeout 300 --console none`.split(
        ' ',
      ),
    ],
  },
  inputs: [kernel, initrd],
  timeout: 1200,
});

test('boots to /init, and loads from each range of the BAR without an exit', () => {
  const found = JSON.parse(String(findings(ran.stdout).get('guest'))) as GuestFound;
  expect([found.error, found.ends]).toEqual([null, ['power-off']]);
  const lines = found.console.split(/\r?\n/);
  expect(lines).toContainEqual(expect.stringMatching(`^pci: ${IN_GUEST} 0x1234 0x1111 `));
  expect(lines.filter((line) => line.startsWith('load: '))).toEqual([
    expect.stringMatching(/resource0 at 0x0: 0x[0-9a-f]{8}$/),
    expect.stringMatching(/resource0_wc at 0x10000: 0x[0-9a-f]{8}$/),
    expect.stringMatching(/resource0_wc at 0x20000: 0x[0-9a-f]{8}$/),
  ]);
  expect(found.barExits).toEqual([[0]]);
});

test('says that the device may start no DMA, and why', () => {
  expect(ran.stderr).toContain(
    `wcvmm: ${DISPLAY} has no IOMMU, so it may start no DMA: it would reach the host's memory instead of the guest's.`,
  );
  expect(ran.code).toBe(0);
});
