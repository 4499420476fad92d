import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { blockDevices, parseMountinfo, usesOf } from '../tool/host/devices/use.ts';
import { readPciDevice } from '../vmm/sys/pci.ts';
import { FakeMachine } from './fake-machine.ts';

const DISK = '0000:04:00.0';
const NIC = '0000:05:00.0';
const GPU = '0000:06:00.0';

let machine: FakeMachine;
beforeEach(() => {
  machine = new FakeMachine([
    { address: DISK, driver: 'nvme', group: '8' },
    { address: NIC, driver: 'e1000e', group: '9', classCode: '0x020000' },
    { address: GPU, group: '10', classCode: '0x030000' },
  ]);
});
afterEach(() => machine.remove());

function uses(address: string): readonly string[] {
  const device = readPciDevice(machine.port, address);
  if (device === null) throw new Error(`no ${address}`);
  return usesOf(machine.port, device);
}

/** A block device whose folder is `folder`, seen in /sys/class/block. */
function block(name: string, folder: string, number: string): string {
  machine.file(`${folder}/dev`, `${number}\n`);
  machine.link(`/sys/class/block/${name}`, folder);
  return folder;
}

function disk(): string {
  return block('nvme0n1', `${machine.folderOf(DISK)}/nvme/nvme0/nvme0n1`, '259:0');
}

function partition(of: string): string {
  const folder = block('nvme0n1p2', `${of}/nvme0n1p2`, '259:2');
  machine.file(`${folder}/partition`, '2\n');
  return folder;
}

function mounted(number: string, point: string, source: string): void {
  machine.file(
    '/proc/self/mountinfo',
    `22 1 0:20 / /proc rw - proc proc rw\n36 35 ${number} / ${point} rw,noatime shared:1 - ext4 ${source} rw\n`,
  );
}

describe('a disk', () => {
  test('that nobody uses', () => {
    disk();
    expect(uses(DISK)).toEqual([]);
  });

  test('that is mounted', () => {
    disk();
    mounted('259:0', '/data', '/dev/nvme0n1');
    expect(uses(DISK)).toEqual(['nvme0n1 is mounted on /data']);
  });

  test('with a mounted partition, also in the first process', () => {
    partition(disk());
    machine.file('/proc/1/mountinfo', '36 35 259:2 / /boot rw - ext4 /dev/nvme0n1p2 rw\n');
    expect(uses(DISK)).toEqual(['nvme0n1p2 is mounted on /boot']);
  });

  test('below a mapper device that is mounted', () => {
    const part = partition(disk());
    const mapper = block('dm-0', '/sys/devices/virtual/block/dm-0', '253:0');
    machine.link(`${part}/holders/dm-0`, mapper);
    mounted('253:0', '/', '/dev/mapper/root');
    expect(uses(DISK)).toEqual(['nvme0n1p2 is part of dm-0', 'dm-0 is mounted on /']);
  });

  test('that is part of an array which is swap', () => {
    const array = block('md0', '/sys/devices/virtual/block/md0', '9:0');
    machine.link(`${disk()}/holders/md0`, array);
    machine.file('/proc/swaps', 'Filename\tType\tSize\tUsed\tPriority\n/dev/md0 partition 1 0 -2\n');
    expect(uses(DISK)).toEqual(['nvme0n1 is part of md0', 'md0 is swap']);
  });

  test('with btrfs, whose mounts have numbers of their own', () => {
    disk();
    mounted('0:45', '/srv', '/dev/nvme0n1');
    expect(uses(DISK)).toEqual(['nvme0n1 is mounted on /srv']);
  });

  test('behind NVMe multipath', () => {
    machine.link('/sys/class/block/nvme0c1n1', `${machine.folderOf(DISK)}/nvme/nvme0/nvme0c1n1`);
    block('nvme0n1', '/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1', '259:0');
    mounted('259:0', '/data', '/dev/nvme0n1');
    expect(uses(DISK)).toEqual(['nvme0n1 is mounted on /data']);
  });

  test("another device's disk does not count", () => {
    block('sda', '/sys/devices/pci0000:00/0000:00:1f.2/ata1/block/sda', '8:0');
    mounted('8:0', '/', '/dev/sda');
    expect(blockDevices(machine.port, DISK)).toEqual([]);
    expect(uses(DISK)).toEqual([]);
  });
});

test.each([
  ['0x1003', ['the network interface eth1 is up']],
  ['0x1002', []],
])('a network interface with the flags %s', (flags, expected) => {
  const folder = `${machine.folderOf(NIC)}/net/eth1`;
  machine.file(`${folder}/flags`, `${flags}\n`);
  machine.link('/sys/class/net/eth1', folder);
  expect(uses(NIC)).toEqual(expected);
});

test("the console's GPU, and one that is not", () => {
  expect(uses(GPU)).toEqual([]);
  machine.file(`${machine.folderOf(GPU)}/boot_vga`, '1\n');
  expect(uses(GPU)).toEqual(['it is the GPU of the console']);
});

test('virtual functions', () => {
  machine.file(`${machine.folderOf(NIC)}/sriov_numvfs`, '0\n');
  expect(uses(NIC)).toEqual([]);
  machine.file(`${machine.folderOf(NIC)}/sriov_numvfs`, '4\n');
  expect(uses(NIC)).toEqual(['it has 4 virtual functions (sriov_numvfs)']);
});

test.each([
  ['/dev/vfio/9', 'vfio-pci'],
  ['/dev/vfio/devices/vfio3', 'vfio-pci'],
  ['/dev/vfio/devices/vfio3', 'mlx5_vfio_pci'],
])('a process that has %s open, of a device that %s has', (node, driver) => {
  machine.remove();
  machine = new FakeMachine([{ address: NIC, driver, group: '9', classCode: '0x020000' }]);
  machine.file(`${machine.folderOf(NIC)}/vfio-dev/vfio3/dev`, '511:3\n');
  machine.rawLink('/proc/4711/fd/7', node);
  machine.file('/proc/4711/comm', 'qemu-system-x86\n');
  expect(uses(NIC)).toEqual(['process 4711 (qemu-system-x86) has it open']);
});

test('mountinfo: optional fields, and lines that are none', () => {
  expect(parseMountinfo('36 35 98:0 /mnt1 /mnt2 rw shared:1 master:2 - ext3 /dev/root rw\ngarbage\n\n')).toEqual([
    { device: '98:0', source: '/dev/root', point: '/mnt2' },
  ]);
});
