import { describe, expect, test } from 'vitest';
import { findings, inTestbed, insideScript } from './support.ts';
import type { Finished } from './support.ts';

/** The NVMe that the kernel's own driver has, and the disk behind it. */
const NVME = '0000:04:00.0';
const FOLDER = `/sys/bus/pci/devices/${NVME}`;
const DRIVER = `basename $(readlink ${FOLDER}/driver)`;

/** Seconds for an instance on a machine that is busy with others. */
const SLOW = 300;

/** Each line's output apart, so that a test sees what which command said. */
async function each(...lines: readonly string[]): Promise<readonly string[]> {
  const script = ['cd /tmp; mkdir -p /mnt', ...lines.map((line) => `(${line}) 2>&1; echo "[$?]"; echo ===`)].join('\n');
  const { stdout } = await inTestbed({ timeout: SLOW, run: { kind: 'program', args: ['sh', '-c', script] } });
  return stdout.split('===\n').slice(0, -1);
}

describe('a device that the kernel uses', { timeout: SLOW * 1000 }, () => {
  test('is bound, opens, and is given back', async () => {
    const [bind, driver, doctor, listed, unbind, after, override, left, disk] = await each(
      `wcvmm bind ${NVME}`,
      DRIVER,
      `wcvmm doctor -d ${NVME}`,
      `wcvmm devices --open`,
      `wcvmm unbind ${NVME}`,
      DRIVER,
      `cat ${FOLDER}/driver_override`,
      'ls /run/wcvmm',
      `ls ${FOLDER}/nvme/*/ | grep -c '^nvme.*n1$'`,
    );
    expect([bind, driver]).toEqual(['[0]\n', 'vfio-pci\n[0]\n']);
    expect(doctor).toContain(`${NVME} (1b36:0010) opens through iommufd\n`);
    expect(listed).toMatch(
      /0000:04:00\.0 {2}1b36:0010 {2}NVMe, driver vfio-pci\n {4}IOMMU group 8\n {4}bar0 {6}16K {2}64-bit {2}cookie: default device wc; sysfs: device\n/,
    );
    expect([unbind, after, override, left]).toEqual(['[0]\n', 'nvme\n[0]\n', '(null)\n[0]\n', '[0]\n']);
    // The driver did not only get it, it works with it again.
    expect(disk).toBe('1\n[0]\n');
  });

  test('is refused while its disk is mounted, and changed by nothing but --force', async () => {
    const mount = `mount -t ext4 -o ro /dev/$(basename ${FOLDER}/nvme/*/nvme*n1) /mnt && ls /mnt/bin`;
    const [mounted, refused, driver, unmount, bound] = await each(
      mount,
      `wcvmm bind ${NVME}`,
      DRIVER,
      'umount /mnt',
      `wcvmm bind ${NVME}; ${DRIVER}`,
    );
    expect(mounted).toContain('node\n[0]');
    expect(refused).toMatch(/E_DEVICE_IN_USE: 0000:04:00\.0 is in use: nvme\dn1 is mounted on \/mnt\. .*--force/);
    expect(refused).toContain('[2]');
    expect(driver).toBe('nvme\n[0]\n');
    expect([unmount, bound]).toEqual(['[0]\n', 'vfio-pci\n[0]\n']);
  });

  test('is not taken from a process that has it open through VFIO', async () => {
    const [held, group] = await each(
      `node /wcvmm/dist/test/inside/hold.js /dev/vfio/devices/vfio0 wcvmm unbind 0000:01:00.0`,
      `node /wcvmm/dist/test/inside/hold.js /dev/vfio/5 wcvmm unbind 0000:01:00.0`,
    );
    for (const said of [held, group])
      expect(said).toMatch(/E_DEVICE_IN_USE: .* process \d+ \(node\) has it open[^]*\[2\]/);
  });

  test('is told as in use by whatever needs it, while a guest has it', async () => {
    const device = '0000:01:00.0';
    const commands = [
      ['verify', '-d', device],
      ['verify', '-d', device, '--iommu', 'container'],
      ['unbind', device],
      ['devices'],
      ['doctor', '-d', device],
      ['doctor'],
    ];
    const { stdout } = await insideScript('while-running', ['bad-loop.elf', device, JSON.stringify(commands)], {
      inputs: ['arm64-tests/build/bad-loop.elf'],
      timeout: SLOW,
    });
    const [cdev, group, unbind, devices, doctor, other] = [...findings(stdout).values()] as readonly Finished[];
    for (const refused of [cdev, group])
      expect(refused?.stderr).toMatch(/E_DEVICE_DRIVER: 0000:01:00\.0 is in use by another process/);
    expect(unbind?.stderr).toMatch(/E_DEVICE_IN_USE: .* process \d+ \(node\) has it open/);
    expect(devices?.stdout).toMatch(/0000:01:00\.0[^]*in use: process \d+ \(node\) has it open\n\n0000:02/);
    expect(doctor?.stdout).toMatch(/missing {2}device .*is in use by another process/);
    // Unless told which, doctor opens none, and names those that are free.
    expect(other?.stdout).toMatch(/note {5}device .*not in use: 0000:02:00\.0/);
  });

  test('shows what would be done, and does nothing', async () => {
    const [dry, driver] = await each(`wcvmm bind ${NVME} --dry-run`, DRIVER);
    expect(dry).toContain(`echo vfio-pci > ${FOLDER}/driver_override\n`);
    expect(driver).toBe('nvme\n[0]\n');
  });
});

test('the list of a testbed', { timeout: SLOW * 1000 }, async () => {
  const [json] = await each(`wcvmm devices --open --json`);
  const { devices } = JSON.parse(json?.replace(/\[0\]\n$/, '') ?? '') as {
    devices: readonly {
      address: string;
      driver: string;
      bars: readonly { size: number }[];
      vfio: { regions?: readonly { attributes: readonly string[] }[] };
    }[];
  };
  expect(devices.map(({ address, driver }) => [address, driver])).toEqual([
    ['0000:01:00.0', 'vfio-pci'],
    ['0000:02:00.0', 'vfio-pci'],
    ['0000:03:00.0', 'vfio-pci'],
    [NVME, 'nvme'],
  ]);
  expect(devices[2]?.bars[2]?.size).toBe(2 ** 33);
  expect(devices[2]?.vfio.regions?.[2]?.attributes).toEqual(['default', 'device', 'wc']);
});
