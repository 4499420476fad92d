/** Several devices of one guest: what they share, what each is opened as, and RAM for all of them; on a made-up kernel. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { parseMap } from '../vmm/memory/map.ts';
import { findDevice, openVfioDevice } from '../vmm/vfio/device.ts';
import type { OpenOptions, VfioDevice } from '../vmm/vfio/device.ts';
import { mapRam, newIoas, shareRam } from '../vmm/vfio/dma.ts';
import type { DmaSpace } from '../vmm/vfio/dma.ts';
import { keptIovas } from '../vmm/vfio/guest-dma.ts';
import { openGuestDevices } from '../vmm/vfio/guest-devices.ts';
import type { GuestDevice } from '../vmm/vfio/guest-devices.ts';
import { attachForDma, ramForDevices } from '../vmm/vfio/share.ts';
import type { DmaDevice } from '../vmm/vfio/share.ts';
import { FakeVfioKernel, REQUEST } from './fake-vfio.ts';
import type { FakeVfio } from './fake-vfio.ts';
import { codeOf, saidBy } from './stub-port.ts';

const [A, B, C] = ['0000:01:00.0', '0000:02:00.0', '0000:03:00.0'] as const;
const BARS = { 2: { size: 1n << 20n } };
/** C has no IOMMU. */
const DEVICES = [
  { address: A, group: '5', cdev: 'vfio0', bars: BARS },
  { address: B, group: '6', cdev: 'vfio1', bars: BARS },
  { address: C, group: '7', cdev: 'noiommu-vfio2', bars: BARS },
] as const;

function machine(more: Partial<FakeVfio> = {}): FakeVfioKernel {
  return new FakeVfioKernel({ devices: DEVICES, hasCookies: true, ...more });
}

function opened(kernel: FakeVfioKernel, of: Readonly<Record<string, readonly string[]>>, scope = new Scope()) {
  const requests = Object.entries(of).map(([address, maps]) => ({ address, maps: maps.map(parseMap) }));
  return openGuestDevices(kernel.port, scope, requests, 'auto');
}
const kindsOf = (devices: readonly GuestDevice[]) =>
  devices.map(({ source }) => [source.device.pci.address, source.kind, source.device.dma.kind]);

describe("a Linux guest's devices", () => {
  test('are opened in their order, with one iommufd for all that have an IOMMU', () => {
    const kernel = machine();
    const scope = new Scope();
    const devices = opened(kernel, { [C]: [], [B]: [], [A]: [] }, scope);
    expect(kindsOf(devices)).toEqual([
      [C, 'legacy', 'none'],
      [B, 'legacy', 'ioas'],
      [A, 'legacy', 'ioas'],
    ]);
    // One of C, whose file no device can share, and one of the others.
    expect(kernel.events.filter((event) => event === 'open /dev/iommu')).toHaveLength(2);
    const [, second, third] = devices.map(({ source }) => source.device.dma);
    expect([second, third]).toMatchObject([{ ioas: 7 }, { ioas: 8 }]);
    scope.close();
    expect(kernel.files.size).toBe(0);
  });

  test('need cookies only for an attribute other than default', () => {
    const [device] = opened(machine(), { [A]: ['bar2:0-64K=default', 'bar2:64K-=wc'] });
    expect([device?.source.kind, device?.maps.map(({ attribute }) => attribute)]).toEqual([
      'cookie',
      ['default', 'wc'],
    ]);
    const without = { hasCookies: false };
    expect(opened(machine(without), { [A]: ['bar2=default'] })[0]?.source.kind).toBe('legacy');
    expect(() => opened(machine(without), { [A]: ['bar2:0-64K=default', 'bar2:64K-=wc'] })).toThrow(
      /^this kernel cannot map a BAR as wc: /,
    );
  });

  test('can each have a container', () => {
    const kernel = machine({ absent: ['/dev/iommu'] });
    expect(kindsOf(opened(kernel, { [A]: [], [B]: [] }))).toEqual([
      [A, 'legacy', 'container'],
      [B, 'legacy', 'container'],
    ]);
    const requests = [{ address: A, maps: [] }];
    const [device] = openGuestDevices(machine().port, new Scope(), requests, 'container');
    expect(device?.source.device.dma.kind).toBe('container');
  });

  test('are each named once, whatever the spelling', () => {
    const kernel = machine();
    const run = (): unknown => opened(kernel, { [A]: [], [B]: [], '2:00.0': [] });
    expect(codeOf(run)).toBe('E_USAGE');
    expect(run).toThrow(/^--device 0000:02:00\.0 is given twice; expected each device once\.$/);
    expect(kernel.events).toEqual([]);
  });
});

const RAM = { address: 0x7f00_0000_0000n, length: 4n << 20n };
const GPA = 0x4000_0000n;

function openFor(kernel: FakeVfioKernel, address: string, options: OpenOptions = {}): VfioDevice {
  return openVfioDevice(kernel.port, new Scope(), findDevice(kernel.port, address), options);
}

function attached(
  kernel: FakeVfioKernel,
  opened: VfioDevice | null,
  addresses: readonly string[],
): readonly DmaDevice[] {
  return attachForDma(kernel.port, new Scope(), opened, addresses);
}

describe('devices that shall reach guest RAM', () => {
  test('share one iommufd: the first has the pages pinned, the second gets them, and only then may they start transfers', () => {
    const kernel = machine();
    const devices = attached(kernel, null, [A, B, '1:00.0']);
    expect(devices.map(({ pci }) => pci.address)).toEqual([A, B]);
    expect(kernel.events.filter((event) => event === 'open /dev/iommu')).toHaveLength(1);
    const before = kernel.events.length;
    expect(ramForDevices(kernel.port, devices, RAM, GPA)).toMatchObject([
      { space: { ioas: 7 }, iova: GPA, length: RAM.length },
      { space: { ioas: 8 }, iova: GPA, length: RAM.length },
    ]);
    expect(kernel.events.slice(before)).toEqual([
      'RAM in 7 0x40000000+0x400000, from 0x7f0000000000',
      'RAM of 7 in 8 0x40000000+0x400000',
      'config 4: 6 0',
      'config 4: 6 0',
    ]);
    expect([A, B].map((address) => kernel.command(address))).toEqual([6, 6]);
  });

  test('share the iommufd of the device of the windows, also if that one is not among them', () => {
    const kernel = machine();
    const first = openFor(kernel, A);
    const [device] = attached(kernel, first, [B]);
    expect(device?.dma).toMatchObject({ kind: 'ioas', iommufd: first.dma.kind === 'ioas' ? first.dma.iommufd : -1 });
    expect(attached(kernel, first, [A])).toEqual([first]);
    ramForDevices(kernel.port, device === undefined ? [] : [device], RAM, GPA);
    expect([A, B].map((address) => kernel.command(address))).toEqual([2, 6]);
  });

  test('go their own way beside a container, or a device without an IOMMU', () => {
    for (const [address, options] of [
      [A, { iommu: 'container' }],
      [C, {}],
    ] as const) {
      const kernel = machine();
      expect(attached(kernel, openFor(kernel, address, options), [B])).toMatchObject([{ dma: { kind: 'ioas' } }]);
    }
  });

  test('can each have a container, or one at all, on a kernel without iommufd', () => {
    const without = { absent: ['/dev/iommu'] };
    const kernel = machine(without);
    const [device] = attached(kernel, null, [A]);
    expect(device?.dma.kind).toBe('container');
    expect(attached(kernel, device ?? null, [B])).toMatchObject([{ dma: { kind: 'container' } }]);
  });

  test('cannot share what a container has pinned, in either order', () => {
    for (const addresses of [
      [A, B],
      [B, A],
    ]) {
      const kernel = machine();
      const first = openFor(kernel, A, { iommu: 'container' });
      expect(saidBy(() => attached(kernel, first, addresses))).toMatch(
        new RegExp(
          `^E_USAGE: --dma-device ${addresses[1]} needs iommufd, to share pinned memory with the first device; exp`,
        ),
      );
      // Known before the second is opened, where the first is the container's: opening a device resets it.
      expect(kernel.events.includes('open /dev/vfio/devices/vfio1')).toBe(addresses[0] === B);
    }
  });

  test('must have an IOMMU', () => {
    const said = `--dma-device ${C}: there is no IOMMU, so the device would reach the host's memory by its physical`;
    const kernel = machine();
    expect(() => attached(kernel, null, [C])).toThrow(said);
    expect(kernel.events).toEqual([]);
    const opened = openFor(kernel, C);
    expect(() => attached(kernel, opened, [C])).toThrow(said);
    expect(codeOf(() => attached(kernel, opened, [C]))).toBe('E_NO_IOMMU');
  });
});

const HOLE = [
  [0n, 0x400f_ffffn],
  [0x4020_0000n, (1n << 48n) - 1n],
] as const;

const spaces = (kernel: FakeVfioKernel): readonly DmaSpace[] =>
  [openFor(kernel, A), openFor(kernel, B, { iommu: 'container' })].flatMap(({ dma }) =>
    dma.kind === 'none' ? [] : [dma],
  );

describe('guest RAM in an address space', () => {
  test('of a container is mapped where it does not say what can be', () => {
    const kernel = machine();
    const [, container] = spaces(kernel);
    if (container === undefined) throw new Error('no container');
    expect(mapRam(kernel.port, container, RAM, GPA)).toEqual({ space: container, iova: GPA, length: RAM.length });
    expect(kernel.events.at(-1)).toBe('RAM in container 0x40000000+0x400000, from 0x7f0000000000');
    expect(keptIovas(kernel.port, [openFor(kernel, A, { iommu: 'container' })], 1n << 40n)).toEqual([]);
  });

  test.each([0, 1])('that cannot be pinned is said so (%i)', (which) => {
    const kernel = machine({ failing: { [REQUEST.ioasMap]: 'ENOMEM', [REQUEST.mapDma]: 'ENOMEM' } });
    const space = spaces(kernel)[which];
    const run = (): unknown => space !== undefined && mapRam(kernel.port, space, RAM, GPA);
    expect(codeOf(run)).toBe('E_PERMISSION');
    expect(run).toThrow(/^4194304 bytes of guest RAM could not be pinned for DMA \(ENOMEM\)\. Raise RLIMIT_MEMLOCK/);
    expect(run).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ errnoName: 'ENOMEM' }) as unknown }),
    );
  });

  test('that the kernel refuses otherwise is an error of the kernel', () => {
    const kernel = machine({ failing: { [REQUEST.ioasMap]: 'EEXIST' } });
    const [ioas] = spaces(kernel);
    expect(() => ioas !== undefined && mapRam(kernel.port, ioas, RAM, GPA)).toThrow(/EEXIST$/);
  });

  test('is refused in a second one too where addresses of it are reserved there', () => {
    const kernel = machine({ allowed: HOLE });
    const iommufd = kernel.port.open('/dev/iommu', 2);
    const [first, second] = [newIoas(kernel.port, iommufd), newIoas(kernel.port, iommufd)];
    const share = (iova: bigint, length: bigint) => () => shareRam(kernel.port, { space: first, iova, length }, second);
    expect(codeOf(share(GPA, RAM.length))).toBe('E_IOVA');
    expect(share(GPA, RAM.length)).toThrow(
      /^guest RAM \(0x40000000-0x403fffff\) must have the same .* reserves 0x40100000-0x401fffff of them\. Use less/,
    );
    expect(share(GPA, 0x10_0000n)()).toEqual({ space: second, iova: GPA, length: 0x10_0000n });
    expect(kernel.events.at(-1)).toBe('RAM of 7 in 8 0x40000000+0x100000');
  });

  test('is refused in a container that names reserved addresses, all of them', () => {
    const allowed = [...HOLE, [0x4030_0000n, 0x4030_0fffn]] as const;
    const kernel = machine({ allowed: [[0n, 0x400f_ffffn], [0x4020_0000n, 0x402f_ffffn], allowed[2]] });
    const [, container] = spaces(kernel);
    expect(() => container !== undefined && mapRam(kernel.port, container, RAM, GPA)).toThrow(
      /reserves 0x40100000-0x401fffff, 0x40301000-0x403fffff of them/,
    );
  });
});
