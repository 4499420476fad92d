import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { listDevices } from '../tool/host/devices/inventory.ts';
import { devicesInJson, renderDevices } from '../tool/host/devices/text.ts';
import { parseMsix } from '../vmm/sys/pci-config.ts';
import type { Port } from '../vmm/sys/port.ts';
import { VENDOR_DRIVERS, stubDevice, stubPort } from './stub-port.ts';
import type { Stub } from './stub-port.ts';
import { FakeMachine } from './fake-machine.ts';

/** Configuration space with the capabilities at the offsets given, linked in their order. */
function config(capabilities: readonly (readonly [at: number, bytes: readonly number[]])[]): Uint8Array {
  const space = new Uint8Array(256);
  space[6] = 0x10;
  space[0x34] = capabilities[0]?.[0] ?? 0;
  for (const [index, [at, bytes]] of capabilities.entries()) {
    space.set(bytes, at);
    space[at + 1] = capabilities[index + 1]?.[0] ?? 0;
  }
  return space;
}

/** 65 vectors, table at 0x2000 of BAR 0, pending bits at 0x3000 of it: QEMU's NVMe. */
const MSIX = [0x11, 0, 0x40, 0x80, 0x00, 0x20, 0, 0, 0x00, 0x30, 0, 0];
const POWER = [0x01, 0, 0, 0];

describe('where the MSI-X table is', () => {
  test('behind other capabilities', () => {
    expect(
      parseMsix(
        config([
          [0x60, POWER],
          [0x40, MSIX],
        ]),
      ),
    ).toEqual({
      vectors: 65,
      table: { bar: 0, offset: 0x2000n, length: 1040n },
      pending: { bar: 0, offset: 0x3000n, length: 16n },
    });
  });

  test('in another BAR', () => {
    expect(parseMsix(config([[0x40, [0x11, 0, 0, 0, 0x04, 0, 0, 0xf0, 0x0c, 0, 0, 0xf0]]]))).toMatchObject({
      vectors: 1,
      table: { bar: 4, offset: 0xf000_0000n },
      pending: { bar: 4, offset: 0xf000_0008n },
    });
  });

  test.each([
    ['no capabilities', new Uint8Array(256)],
    ['no MSI-X', config([[0x40, POWER]])],
    [
      'a list that runs in a circle',
      config([
        [0x40, POWER],
        [0x60, POWER],
        [0x40, POWER],
      ]),
    ],
    ['64 bytes, as for others than root', config([[0x40, MSIX]]).slice(0, 64)],
    ['a capability that leaves the space', config([[0xf8, MSIX.slice(0, 8)]])],
  ])('nowhere: %s', (_name, space) => {
    expect(parseMsix(space)).toBeNull();
  });

  test('whatever a device says, reading it ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 256 }), (space) => {
        const found = parseMsix(space);
        expect(found === null || found.table.bar < 8).toBe(true);
      }),
    );
  });
});

const LIST = { all: false, open: false } as const;

/** A machine with that device alone; `opened`: which files of /dev were. */
function opening(device: Stub): { port: Port; opened: string[] } {
  const opened: string[] = [];
  const { port } = stubPort({
    ...device,
    nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' },
    folders: { ...device.folders, '/sys/bus/pci/devices': ['0000:01:00.0'] },
    ioctls: { 0x3b76: () => 0, 0x3b81: () => 0, 0x3b77: () => 0, 0x3b6c: () => 0 },
  });
  const open = (path: string, flags: number): number => {
    if (path.startsWith('/dev/')) opened.push(path);
    return port.open(path, flags);
  };
  // Switching its memory on would be a write to the device.
  return { opened, port: { ...port, open, pwrite: () => expect.unreachable() } };
}

describe('the list', () => {
  let machine: FakeMachine;
  afterEach(() => machine.remove());

  function have(): FakeMachine {
    machine = new FakeMachine([
      { address: '0000:03:00.0', driver: 'pcieport', group: '7', classCode: '0x060400' },
      { address: '0000:04:00.0', driver: 'nvme', group: '8', config: config([[0x40, MSIX]]) },
      {
        address: '0000:04:00.1',
        group: '8',
        classCode: '0x020000',
        resource: '0x000000000000c000 0x000000000000c03f 0x0000000000040101',
      },
    ]);
    for (const name of ['resource2', 'resource2_wc']) machine.file(`${machine.folderOf('0000:04:00.0')}/${name}`, '');
    return machine;
  }

  test('leaves out what has no memory BAR, unless asked for all', () => {
    have();
    expect(listDevices(machine.port, LIST).map(({ address }) => address)).toEqual(['0000:04:00.0']);
    expect(listDevices(machine.port, { all: true, open: false })).toHaveLength(3);
  });

  test('in text', () => {
    have();
    expect(renderDevices(listDevices(machine.port, LIST), false, { columns: 100, color: false })).toBe(
      [
        '0000:04:00.0  1b36:0010  NVMe, driver nvme',
        '    IOMMU group 8 with 0000:04:00.1 (no driver)',
        '    bar2       4M  64-bit prefetchable  sysfs: device wc',
        '    MSI-X: 65 vectors, table bar0:8K+0x410, pending bits bar0:12K+16',
        '    what VFIO can map is not known: not bound to vfio-pci',
        '',
      ].join('\n'),
    );
  });

  test.each(VENDOR_DRIVERS)('asks VFIO about a device that %s has', (driver) => {
    machine = new FakeMachine([{ address: '0000:04:00.0', driver, group: '8' }]);
    expect(listDevices(machine.port, { all: false, open: true })[0]?.vfio).toEqual({
      kind: 'not-asked',
      why: expect.stringContaining('/dev/vfio/vfio'),
    });
  });

  test('opens nothing unless asked to: the kernel would reset it', () => {
    const { port, opened } = opening(stubDevice('vfio-pci', '5'));
    expect(listDevices(port, LIST)[0]?.vfio).toMatchObject({
      kind: 'not-asked',
      why: expect.stringContaining('--open'),
    });
    expect(opened).toEqual([]);
    expect(listDevices(port, { all: false, open: true })[0]?.vfio.kind).toBe('asked');
    expect(opened).toEqual(['/dev/vfio/devices/vfio0', '/dev/iommu']);
  });

  test('in JSON', () => {
    have();
    expect(devicesInJson(listDevices(machine.port, LIST))).toMatchObject({
      schema: 'wcvmm.devices/1',
      devices: [
        {
          address: '0000:04:00.0',
          className: 'NVMe',
          driver: 'nvme',
          iommuGroup: '8',
          msix: { vectors: 65, table: { bar: 0, offset: 8192, length: 1040 } },
          vfio: { kind: 'not-asked' },
        },
      ],
    });
  });

  test('of a machine without PCI', () => {
    machine = new FakeMachine();
    expect(renderDevices(listDevices(machine.port, LIST), false, { columns: 100, color: false })).toMatch(
      /^no PCI device/,
    );
  });
});
