/** Linux as a guest with passed-through devices, with the testbed's own kernel in both places, on arm64 and on x86. */
import { basename } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { guestFiles } from './guest-initramfs.ts';
import type { GuestFound, GuestRequest } from './inside/linux-devices.ts';
import { INSTANCES } from './linux-guests.ts';
import { findings, insideScript } from './support.ts';

const [SMALL, BARE_NVME, LARGE, NVME] = ['0000:01:00.0', '0000:02:00.0', '0000:03:00.0', '0000:04:00.0'];
const READ = 128 << 10;
const BYTES = 8 * READ;
const [FEW, MANY] = [8, 64];
const ROUNDS = 50;

/** The guest's name of its device number `index`. */
function device(index: number): string {
  return `0000:00:0${index}.0`;
}

function bar2(index: number): string {
  return `/sys/bus/pci/devices/${device(index)}/resource2`;
}

/** Unaligned, in the window of each attribute, by the file that asks for write combining; then aligned by the other one. */
const LOADS = [`${bar2(2)}_wc:1`, `${bar2(2)}_wc:65537`, `${bar2(2)}_wc:131073`, `${bar2(2)}:65536`];
const loads = LOADS.map((what) => `load=${what}`).join(' ');
/** The 4 MiB BAR stands behind the 8 GiB one; 2^34 bytes are 16 GiB, so Linux has to take it elsewhere. */
const moved = `align=34@${device(2)} remove=${device(2)} rescan enable=${device(2)} devices`;

const GUESTS: readonly GuestRequest[] = [
  {
    name: 'reads',
    devices: [{ address: NVME }],
    take: [{ address: NVME, bytes: BYTES }],
    append: `quiet -- read=nvme0n1:${BYTES} mark=a silently=nvme0n1:${FEW * READ} mark=b silently=nvme0n1:${MANY * READ} mark=c`,
  },
  {
    name: 'container',
    iommu: 'container',
    devices: [{ address: NVME }],
    append: `quiet -- read=nvme0n1:${BYTES}`,
  },
  {
    name: 'peers',
    devices: [{ address: BARE_NVME }, { address: SMALL }, { address: LARGE }],
    append: `quiet -- unbind=${device(1)} enable=${device(1)} enable=${device(2)} enable=${device(3)} mark=a peer=${device(1)}@${bar2(2)}@${bar2(3)} peer=${device(1)}@${bar2(2)}@${bar2(3)}@gone peer=${device(1)}@${bar2(2)}@${bar2(3)}`,
  },
  {
    name: 'ranges',
    cpus: 4,
    boots: 3,
    devices: [
      { address: NVME },
      { address: SMALL, maps: ['bar2:0-64K=device', 'bar2:64K-128K=wc'] },
      { address: LARGE },
    ],
    append: `quiet -- enable=${device(2)} ${loads} ${moved} ${loads} reset=${device(1)} read=nvme0n1:${BYTES} reboot`,
  },
  {
    name: 'RAM above 4 GiB',
    memory: '3328M',
    devices: [{ address: NVME }],
    append: `quiet -- read=nvme0n1:${BYTES}`,
  },
  {
    name: 'hammers',
    devices: [{ address: NVME }, { address: SMALL }],
    append: `quiet -- mark=a hammer=${device(2)}:${ROUNDS} mark=b hammer=${device(2)}:${ROUNDS} mark=c`,
  },
];

/** The guest's lines that start with this. */
function lines({ console }: GuestFound, start: string): readonly string[] {
  return console
    .split(/\r?\n/)
    .filter((line) => line.startsWith(start))
    .map((line) => line.trimEnd());
}

const READS = /in (?<reads>\d+) reads, crc (?<crc>\S+), (?<interrupts>\d+) interrupts, \d+ ms, at (?<at>\S+)/;

function reads(found: GuestFound): readonly Readonly<Record<string, string>>[] {
  return lines(found, 'read: ').map((line) => READS.exec(line)?.groups ?? {});
}

describe.each(INSTANCES)('a Linux guest with devices in the $arch testbed', async ({ arch, kernelArch }) => {
  const { kernel, initrd, remove } = await guestFiles(kernelArch, 'guest-devices');
  afterAll(remove);
  const files = { kernel: basename(kernel), initrd: basename(initrd) };
  const ran = await insideScript('linux-devices', [JSON.stringify({ ...files, guests: GUESTS })], {
    arch,
    linuxGuests: true,
    inputs: [kernel, initrd],
    memory: 5120,
    timeout: 1800,
  });
  const found = findings(ran.stdout);
  const guest = (name: string): GuestFound => JSON.parse(String(found.get(name))) as GuestFound;
  const crc = found.get(`crc ${NVME}`);

  test('ends as it wants to, each time', () => {
    expect(GUESTS.map(({ name }) => [name, guest(name).error, guest(name).ends])).toEqual([
      ['reads', null, ['power-off']],
      ['container', null, ['power-off']],
      ['peers', null, ['power-off']],
      ['ranges', null, ['reset', 'reset', 'reset']],
      ['RAM above 4 GiB', null, ['power-off']],
      ['hammers', null, ['power-off']],
    ]);
  });

  test('reads from an NVMe controller by its own driver what the instance has read, one interrupt a read', () => {
    expect(lines(guest('reads'), `pci: ${device(1)}`)).toEqual([expect.stringMatching(/driver nvme$/)]);
    expect(reads(guest('reads'))).toEqual([expect.objectContaining({ reads: '8', crc })]);
    expect(Number(reads(guest('reads'))[0]?.['interrupts'])).toBeGreaterThanOrEqual(8);
  });

  test('has no exit for that: none at a BAR, and 64 reads no more than 8', () => {
    const { counted } = guest('reads');
    const [a, b, c] = counted;
    expect(counted.map(({ mark }) => mark)).toEqual(['a', 'b', 'c']);
    expect([b?.bars, c?.bars]).toEqual([a?.bars, a?.bars]);
    // A mark costs what it costs, whatever was between two of them; its last bytes can come in one interrupt more or less.
    const cost = (b?.served ?? 0) - (a?.served ?? 0);
    expect(cost).toBeGreaterThan(0);
    expect(Math.abs((c?.served ?? 0) - (b?.served ?? 0) - cost)).toBeLessThan(MANY - FEW);
  });

  test('reads by a container, too', () => {
    expect(reads(guest('container'))).toEqual([expect.objectContaining({ reads: '8', crc })]);
  });

  test("has one device's DMA in another's BAR, and nothing there while the other decodes no memory", () => {
    const { counted } = guest('peers');
    expect(lines(guest('peers'), 'peer: ')).toEqual([
      // A controller's vendors are the first bytes that it says of itself.
      'peer: command 0x4242, status 0x0, before 0x00000000, after 0x1af41b36',
      expect.stringMatching(/^peer: command 0x[0-9a-f]{4}, status 0x[0-9a-f]+, before 0x00000000, after 0x00000000$/),
      'peer: command 0x4242, status 0x0, before 0x00000000, after 0x1af41b36',
    ]);
    expect(counted).toHaveLength(1);
  });

  test('works in three boots, and after a reset of the function in each', () => {
    expect(reads(guest('ranges')).map((read) => read['crc'])).toEqual([crc, crc, crc]);
  });

  test('has a BAR elsewhere once Linux has moved it', () => {
    const places = lines(guest('ranges'), 'bar2: ').map((line) => line.split(' ')[1]);
    expect(places.slice(0, 4)).toEqual(['0x4200000000', '0x4000000000', '0x4400000000', '0x4000000000']);
  });

  test.runIf(arch === 'arm64')(
    'faults in a device range for an unaligned access, and not in the others, before Linux moves the BAR and after it',
    () => {
      const all = lines(guest('ranges'), 'load: ');
      expect(all).toHaveLength(3 * 2 * LOADS.length);
      for (let at = 0; at < all.length; at += LOADS.length) {
        expect(all.slice(at, at + LOADS.length)).toEqual([
          expect.stringMatching(/_wc at 0x1: signal 7$/),
          expect.stringMatching(/_wc at 0x10001: 0x/),
          expect.stringMatching(/_wc at 0x20001: 0x/),
          expect.stringMatching(/resource2 at 0x10000: 0x/),
        ]);
      }
    },
  );

  test.runIf(arch !== 'arm64')('loads from each range, before Linux moves the BAR and after it', () => {
    const all = lines(guest('ranges'), 'load: ');
    expect(all).toHaveLength(3 * 2 * LOADS.length);
    for (const line of all) expect(line).toMatch(/: 0x[0-9a-f]{8}$/);
  });

  test('reads into RAM above 4 GiB', () => {
    const [read] = reads(guest('RAM above 4 GiB'));
    expect(read).toMatchObject({ reads: '8', crc });
    // The x86 kernel does not say where a page is, and calls it 0.
    expect(Number(read?.['at']) >= 2 ** 32 || kernelArch === 'x86').toBe(true);
  });

  test('costs no memory by writing to configuration space and to its console all the time', () => {
    const { counted } = guest('hammers');
    const [, b, c] = counted.map(({ resident }) => resident);
    expect(counted).toHaveLength(3);
    expect(lines(guest('hammers'), 'hammer: a line')).toHaveLength(2 * ROUNDS);
    expect((c ?? 0) - (b ?? 0)).toBeLessThan(16 << 20);
  });
});
