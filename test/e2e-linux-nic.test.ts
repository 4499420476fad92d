/**
 * Devices of other kinds in a Linux guest, Debian's kernel for cloud instances: a network interface with a
 * table of 64 vectors, and a controller's memory buffer as the target of another one's DMA.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { debianKernel } from '../testbed/index.ts';
import { initramfs } from './guest-initramfs.ts';
import { INSTANCES } from './linux-guests.ts';
import type { GuestFound, GuestRequest } from './inside/linux-devices.ts';
import { findings, insideScript } from './support.ts';

const [SMALL, WITH_BUFFER, NVME, NIC] = ['0000:01:00.0', '0000:02:00.0', '0000:04:00.0', '0000:05:00.0'];
const VECTORS = 64;

/** Its DMA goes through the IOMMU as a real one's. There is no network behind it. */
const NIC_OPTIONS = [
  '-device',
  'pcie-root-port,id=port5,bus=pcie.0,addr=16,chassis=5',
  '-device',
  `virtio-net-pci,bus=port5,disable-legacy=on,iommu_platform=on,vectors=${VECTORS},mac=52:54:00:12:34:56`,
];

/** In an order in which they can be loaded. */
const MODULES =
  'virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net'.split(
    ' ',
  );

/** The guest's name of its device number `index`. */
function device(index: number): string {
  return `0000:00:0${index}.0`;
}

function bar2(index: number): string {
  return `/sys/bus/pci/devices/${device(index)}/resource2`;
}

const write = `peer=${device(2)}@${bar2(1)}@${bar2(3)}`;

const GUESTS: readonly GuestRequest[] = [
  {
    name: 'nic',
    memory: '256M',
    devices: [{ address: NIC }],
    take: [{ address: NIC }],
    append: `quiet -- ${MODULES.map((name) => `insmod=/modules/${name}.ko`).join(' ')} devices mark=a up=eth0:virtio mark=b`,
  },
  {
    name: 'buffer',
    memory: '256M',
    devices: [{ address: SMALL }, { address: NVME }, { address: WITH_BUFFER }],
    take: [{ address: NVME }],
    append: `quiet -- unbind=${device(2)} unbind=${device(3)} enable=${device(1)} enable=${device(2)} enable=${device(3)} ${write} ${write}@gone ${write}`,
  },
];

/** The guest's lines that start with this. */
function lines({ console }: GuestFound, start: string): readonly string[] {
  return console
    .split(/\r?\n/)
    .filter((line) => line.startsWith(start))
    .map((line) => line.trimEnd());
}

describe.each(INSTANCES)("Debian's kernel as a guest in the $arch testbed", async ({ arch, kernelArch }) => {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-guest-'));
  afterAll(() => rm(folder, { recursive: true }));
  const debian = await debianKernel({ testbed: arch });
  const initrd = join(folder, 'devices.cpio');
  // Linux unpacks one behind the other: the modules are Debian's, and /init is the last.
  await writeFile(initrd, Buffer.concat([await readFile(debian.initrd), await initramfs(kernelArch, 'guest-devices')]));
  const request = { kernel: basename(debian.kernel), initrd: basename(initrd), guests: GUESTS };
  const ran = await insideScript('linux-devices', [JSON.stringify(request)], {
    arch,
    linuxGuests: true,
    inputs: [debian.kernel, initrd],
    memory: 2048,
    emulatorOptions: NIC_OPTIONS,
    timeout: 600,
  });
  const found = findings(ran.stdout);
  const guest = (name: string): GuestFound => JSON.parse(String(found.get(name))) as GuestFound;

  test('ends as it wants to', () => {
    expect(GUESTS.map(({ name }) => [guest(name).error, guest(name).ends])).toEqual([
      [null, ['power-off']],
      [null, ['power-off']],
    ]);
  });

  test('binds its driver to a network interface, whose interrupts come', () => {
    expect(lines(guest('nic'), 'insmod: ')).toEqual([]);
    expect(lines(guest('nic'), `pci: ${device(1)}`).at(-1)).toMatch(/0x1af4 0x1041 0x020000 driver virtio-pci$/);
    // For configuration, what is received, and what is sent.
    expect(lines(guest('nic'), `vectors: ${device(1)}`).at(-1)).toBe(`vectors: ${device(1)} 3`);
    expect(lines(guest('nic'), 'up: ')).toEqual([expect.stringMatching(/^up: eth0: [1-9]\d* interrupts$/)]);
  });

  test("has a controller write into another's memory buffer, and nothing there while that decodes no memory", () => {
    expect(lines(guest('buffer'), 'peer: ')).toEqual([
      'peer: command 0x4242, status 0x0, before 0x00000000, after 0x1af41b36',
      expect.stringMatching(/^peer: command 0x[0-9a-f]{4}, status 0x[0-9a-f]+, before 0x00000000, after 0x00000000$/),
      'peer: command 0x4242, status 0x0, before 0x00000000, after 0x1af41b36',
    ]);
  });
});
