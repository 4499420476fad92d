import { afterEach, expect, it, vi } from 'vitest';
import { emulatorParameter } from '../testbed/machine/machine.ts';
import { emulatorHere } from '../tool/verify/emulator.ts';
import { reportPlatform } from '../tool/verify/platform.ts';
import { stubPort } from './stub-port.ts';

const facts: Parameters<typeof reportPlatform>[1] = {
  fwb: true,
  faultForwarding: true,
  translates: false,
  mte: false,
  vendor: null,
  nestedPaging: null,
  guestPat: null,
  ticksPerSecond: null,
};

const bootedWith = (text: string) => stubPort({ texts: { '/proc/cmdline': text } }).port;

afterEach(() => vi.unstubAllEnvs());

it.each([
  ['a testbed names it', `console=ttyAMA0 loglevel=5 ${emulatorParameter('qemu-10.0.2')}\n`, 'qemu-10.0.2'],
  ['anywhere on the line', `${emulatorParameter('bochs-2.7')} initrd=/initrd\n`, 'bochs-2.7'],
  ['real hardware', 'BOOT_IMAGE=/boot/vmlinuz root=/dev/nvme0n1p1 ro\n', null],
  ['another name that ends alike', 'other.wcvmm.emulator=qemu-10.0.2\n', null],
])('%s', (_what, text, emulator) => {
  expect(emulatorHere(bootedWith(text))).toBe(emulator);
  expect(emulatorHere(stubPort({}).port)).toBeNull();
});

it('is not what the environment says: an inherited variable must not excuse an erratum', () => {
  vi.stubEnv('WCVMM_TESTBED', 'qemu-10.0.2');
  expect(reportPlatform(bootedWith('quiet\n'), facts, null)).toMatchObject({ kind: 'native', emulator: null });
  vi.stubEnv('WCVMM_TESTBED', 'bochs-2.7');
  expect(reportPlatform(bootedWith(emulatorParameter('qemu-10.0.2')), facts, null)).toMatchObject({
    kind: 'testbed',
    emulator: 'qemu-10.0.2',
  });
});
