/** What is opened, in which order, what is said where it cannot be, and that nothing stays open; on a kernel that refuses any other order. */
import { describe, expect, test } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { Scope } from '../common/scope.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { enableDma, findDevice, openVfioDevice } from '../vmm/vfio/device.ts';
import type { OpenOptions, VfioDevice } from '../vmm/vfio/device.ts';
import { noIommuIsAllowed, rawIoNeeded } from '../vmm/vfio/no-iommu.ts';
import { FakeVfioKernel, REQUEST } from './fake-vfio.ts';
import type { FakeVfio, FakeVfioDevice } from './fake-vfio.ts';
import { saidBy, stubPort } from './stub-port.ts';

const A = '0000:01:00.0';
const [CDEV, GROUP] = ['/dev/vfio/devices/vfio0', '/dev/vfio/5'];

interface Opened {
  readonly kernel: FakeVfioKernel;
  readonly scope: Scope;
  readonly device: VfioDevice;
}

function open(device: Partial<FakeVfioDevice>, options: OpenOptions = {}, more: Partial<FakeVfio> = {}): Opened {
  const kernel = new FakeVfioKernel({ devices: [{ address: A, ...device }], ...more });
  const scope = new Scope();
  return { kernel, scope, device: openVfioDevice(kernel.port, scope, findDevice(kernel.port, A), options) };
}

/** What is said, and no file is left open. */
function refusal(device: Partial<FakeVfioDevice>, options: OpenOptions = {}, more: Partial<FakeVfio> = {}): string {
  const kernel = new FakeVfioKernel({ devices: [{ address: A, ...device }], ...more });
  const said = saidBy(() => openVfioDevice(kernel.port, new Scope(), findDevice(kernel.port, A), options));
  expect([...kernel.files.values()]).toEqual([]);
  return said;
}

const BY_IOMMUFD = [`open ${CDEV}`, 'open /dev/iommu', `bind ${A}`, `attach ${A} to 7`, 'config 4: 2 0'];
const BY_CONTAINER = [
  'open /dev/vfio/vfio',
  `open ${GROUP}`,
  `${GROUP} in its container`,
  'IOMMU type 3',
  `open device ${A}`,
  'config 4: 2 0',
];

describe('a device is opened', () => {
  test('by iommufd: bound, and then attached to an address space of its own', () => {
    const { kernel, scope, device } = open({}, { iommu: 'iommufd' });
    expect(kernel.events).toEqual(BY_IOMMUFD);
    const [cdev, iommufd] = [CDEV, '/dev/iommu'].map(
      (path) => [...kernel.files].find(([, name]) => name === path)?.[0],
    );
    expect(device).toMatchObject({ fd: cdev, kvmFile: cdev, dma: { kind: 'ioas', iommufd, ioas: 7 } });
    scope.close();
    expect(kernel.events.slice(5)).toEqual(['close /dev/iommu', `close ${CDEV}`]);
  });

  test('by a container: its group first, and then the type of the IOMMU', () => {
    const { kernel, scope, device } = open({}, { iommu: 'container' });
    expect(kernel.events).toEqual(BY_CONTAINER);
    const fileOf = (name: string) => [...kernel.files].find(([, path]) => path === name)?.[0];
    expect(device).toMatchObject({
      fd: fileOf(`device ${A}`),
      kvmFile: fileOf(GROUP),
      dma: { kind: 'container', container: fileOf('/dev/vfio/vfio') },
    });
    scope.close();
    expect(kernel.events.slice(6)).toEqual([`close device ${A}`, `close ${GROUP}`, 'close /dev/vfio/vfio']);
  });

  test.each<[string, Partial<FakeVfioDevice>, Partial<FakeVfio>, readonly string[]]>([
    ['both ways are there: iommufd', {}, {}, BY_IOMMUFD],
    ['it is in no group: iommufd', { group: null }, {}, BY_IOMMUFD],
    ['there is no iommufd: a container', {}, { absent: ['/dev/iommu'] }, BY_CONTAINER],
    ['it has no character device: a container', { cdev: null }, {}, BY_CONTAINER],
  ])('by itself as the kernel can: %s', (_name, device, more, events) => {
    expect(open(device, {}, more).kernel.events).toEqual(events);
  });

  test('with the iommufd of another device, which stays open behind it', () => {
    const kernel = new FakeVfioKernel({
      devices: [{ address: A }, { address: '0000:02:00.0', cdev: 'vfio1', group: '6' }],
    });
    const [first, second] = [new Scope(), new Scope()];
    const { dma } = openVfioDevice(kernel.port, first, findDevice(kernel.port, A));
    const shared = dma.kind === 'ioas' ? dma.iommufd : -1;
    const other = openVfioDevice(kernel.port, second, findDevice(kernel.port, '0000:02:00.0'), { shared });
    expect(other.dma).toEqual({ kind: 'ioas', iommufd: shared, ioas: 8 });
    expect(kernel.events.slice(5)).toEqual([
      'open /dev/vfio/devices/vfio1',
      'bind 0000:02:00.0',
      'attach 0000:02:00.0 to 8',
      'config 4: 2 0',
    ]);
    second.close();
    expect([...kernel.files.values()]).toEqual([CDEV, '/dev/iommu']);
  });

  test('without an IOMMU: in its container by a type of its own, and attached to nothing', () => {
    const noIommu = { cdev: 'noiommu-vfio0' };
    const byContainer = open(noIommu, { iommu: 'container' }, { types: [] });
    expect(byContainer.kernel.events).toEqual([
      'open /dev/vfio/vfio',
      'open /dev/vfio/noiommu-5',
      '/dev/vfio/noiommu-5 in its container',
      'IOMMU type 8',
      `open device ${A}`,
      'config 4: 2 0',
    ]);
    expect(byContainer.kernel.files.get(byContainer.device.kvmFile)).toBe('/dev/vfio/noiommu-5');
    const byIommufd = open(noIommu, { iommu: 'iommufd' });
    expect(byIommufd.kernel.events).toEqual([
      'open /dev/vfio/devices/noiommu-vfio0',
      'open /dev/iommu',
      `bind ${A}`,
      'config 4: 2 0',
    ]);
    expect([byContainer.device.dma, byIommufd.device.dma]).toEqual([{ kind: 'none' }, { kind: 'none' }]);
  });
});

describe("a device's command register", () => {
  test('keeps what else is in it when memory, and then transfers are switched on', () => {
    const { kernel, device } = open({ command: 0x0541 });
    expect(kernel.command(A)).toBe(0x0543);
    const { dma } = device;
    if (dma.kind === 'none') throw new Error('the device has no IOMMU');
    enableDma(kernel.port, { ...device, dma });
    expect(kernel.command(A)).toBe(0x0547);
  });

  test('loses only transfers where there is no IOMMU', () => {
    expect(open({ cdev: 'noiommu-vfio0', command: 0x0545 }).kernel.command(A)).toBe(0x0543);
    expect(open({ command: 0x0545 }).kernel.command(A)).toBe(0x0547);
  });

  test('that gives a part of itself is said to be no register, and the device is closed', () => {
    const kernel = new FakeVfioKernel({ devices: [{ address: A }] });
    for (const call of ['pread', 'pwrite'] as const) {
      const run = () => openVfioDevice({ ...kernel.port, [call]: () => 1 }, new Scope(), findDevice(kernel.port, A));
      expect(run).toThrow(`the command register of ${A} gave 1 of 2 bytes. Check that`);
      expect(kernel.files.size).toBe(0);
    }
  });
});

function throwing(error: Error, noIommu: boolean): () => unknown {
  return () =>
    rawIoNeeded(noIommu, GROUP, () => {
      throw error;
    });
}

describe('a device that cannot be opened says why', () => {
  test.each<[string, Partial<FakeVfioDevice>, RegExp]>([
    [
      'no IOMMU',
      { group: null, cdev: null },
      new RegExp(`^E_NO_IOMMU: ${A} is in no IOMMU group: .*--source sysfs still`),
    ],
    [
      'no driver',
      { driver: null },
      new RegExp(`^E_DEVICE_DRIVER: ${A} is bound to no driver; expected vfio-pci .*wcvmm bind ${A}`),
    ],
    ['another driver', { driver: 'nvme' }, new RegExp(`^E_DEVICE_DRIVER: ${A} is bound to the driver nvme; expected`)],
  ])('%s, before anything is opened', (_name, device, said) => {
    expect(refusal(device)).toMatch(said);
    expect(refusal(device, { iommu: 'container' })).toMatch(said);
  });

  const [IOMMUFD, CONTAINER] = [{ iommu: 'iommufd' }, { iommu: 'container' }] as const;
  test.each<[string, OpenOptions, Partial<FakeVfio>, RegExp]>([
    [
      'its node is missing',
      IOMMUFD,
      { absent: [CDEV] },
      /^E_DEVICE_ABSENT: \/dev\/vfio\/devices\/vfio0 is missing though sysfs names it/,
    ],
    [
      'there is no iommufd',
      IOMMUFD,
      { absent: ['/dev/iommu'] },
      /^E_NO_IOMMU: \/dev\/iommu is missing: .* Use --iommu container\.$/,
    ],
    [
      'it is bound already',
      IOMMUFD,
      { failing: { [REQUEST.bind]: 'EINVAL' } },
      /^E_DEVICE_DRIVER: 0000:01:00\.0 is in use by another process \(EINVAL\)\. Stop it/,
    ],
    [
      'somebody has it',
      IOMMUFD,
      { failing: { [REQUEST.bind]: 'EBUSY' } },
      /^E_DEVICE_DRIVER: .* another process \(EBUSY\)\./,
    ],
    ['binding fails otherwise', IOMMUFD, { failing: { [REQUEST.bind]: 'EIO' } }, /^SysError: .*EIO$/],
    [
      'there is no container',
      CONTAINER,
      { absent: ['/dev/vfio/vfio'] },
      /^E_NO_IOMMU: \/dev\/vfio\/vfio is missing: .* use --iommu iommufd\.$/,
    ],
    [
      'a container of another version',
      CONTAINER,
      { version: 1 },
      /^E_NO_IOMMU: the VFIO container has no type1v2 IOMMU; load the module/,
    ],
    [
      'a container without its IOMMU',
      CONTAINER,
      { types: [1, 8] },
      /^E_NO_IOMMU: the VFIO container has no type1v2 IOMMU; load the module/,
    ],
    [
      'its group has no node',
      CONTAINER,
      { absent: [GROUP] },
      /^E_DEVICE_ABSENT: \/dev\/vfio\/5 is missing; is another device of IOMMU group 5 still bound/,
    ],
    [
      'somebody has its group',
      CONTAINER,
      { refused: { [GROUP]: 'EBUSY' } },
      /^E_DEVICE_DRIVER: 0000:01:00\.0 is in use by another process \(EBUSY\)\./,
    ],
    [
      'its group is not viable',
      CONTAINER,
      { notViable: ['5'] },
      /^E_DEVICE_DRIVER: IOMMU group 5 of 0000:01:00\.0 is not viable: .* Bind every device/,
    ],
    ['the kernel gives no file of it', CONTAINER, { failing: { [REQUEST.deviceFd]: 'EPERM' } }, /^SysError: .*EPERM$/],
  ])('%s', (_name, options, more, said) => {
    expect(refusal({}, options, more)).toMatch(said);
  });

  test('it has no character device, and iommufd is asked for', () => {
    expect(refusal({ cdev: null }, IOMMUFD)).toMatch(
      /^E_NO_IOMMU: 0000:01:00\.0 has no VFIO character device: .* Use --iommu container\.$/,
    );
  });

  test('with what the kernel said as the cause', () => {
    const failing = { [REQUEST.bind]: 'EBUSY' } as const;
    const cause = expect.objectContaining({ errnoName: 'EBUSY' }) as unknown;
    expect(() => open({}, IOMMUFD, { failing })).toThrow(expect.objectContaining({ cause }));
  });

  test('a device without an IOMMU wants a capability only where that is what is missing', () => {
    const noIommu = { cdev: 'noiommu-vfio0' };
    for (const [node, iommu] of [
      ['/dev/vfio/devices/noiommu-vfio0', 'iommufd'],
      ['/dev/vfio/noiommu-5', 'container'],
    ] as const) {
      const said = (errno: 'EPERM' | 'EACCES' | 'EIO'): string =>
        refusal(noIommu, { iommu }, { refused: { [node]: errno } });
      expect(said('EPERM')).toMatch(
        new RegExp(`^E_PERMISSION: ${node} is a device without an IOMMU, .* CAP_SYS_RAWIO may open`),
      );
      expect(said('EACCES')).toMatch(/^E_PERMISSION: this user may not open/);
      expect(said('EIO')).toMatch(/EIO$/);
    }
    expect(refusal({}, IOMMUFD, { refused: { [CDEV]: 'EPERM' } })).toMatch(/^E_PERMISSION: this user may not open/);
    const cause = expect.objectContaining({ code: 'E_PERMISSION' }) as unknown;
    const refused = { '/dev/vfio/devices/noiommu-vfio0': 'EPERM' } as const;
    expect(() => open(noIommu, IOMMUFD, { refused })).toThrow(expect.objectContaining({ cause }));
  });

  test('a device without an IOMMU takes no other failure for that of the capability', () => {
    const cause = new SysError('open', ERRNO.EPERM);
    for (const error of [new Error('other', { cause }), new WcvmmError('E_DEVICE_ABSENT', 'other', { cause })])
      expect(throwing(error, true)).toThrow(error);
    const refused = new WcvmmError('E_PERMISSION', 'this user may not', { cause });
    expect(throwing(refused, true)).toThrow(/CAP_SYS_RAWIO/);
    expect(throwing(refused, false)).toThrow(refused);
  });

  test('there is none at its address, or it is no address', () => {
    const { port } = new FakeVfioKernel({ devices: [] });
    expect(() => findDevice(port, 'eth0')).toThrow(/^"eth0" is no PCI address; expected .* as in 0000:01:00\.0\.$/);
    expect(() => findDevice(port, '1:00.0')).toThrow(
      /^there is no PCI device 0000:01:00\.0 on this machine; "wcvmm devices --all"/,
    );
  });
});

describe('binding without an IOMMU', () => {
  const parameter = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
  test.each([
    ['Y\n', true],
    ['1\n', true],
    ['N\n', false],
    ['0\n', false],
    [undefined, false],
  ])('is allowed where the kernel says %j: %s', (text, allowed) => {
    const { port } = stubPort(text === undefined ? {} : { texts: { [parameter]: text } });
    expect(noIommuIsAllowed(port)).toBe(allowed);
  });

  test.each([
    ['vfio-noiommu\n', 'none'],
    ['pci\n', 'container'],
  ])('is known by the name of the group too: %j', (text, kind) => {
    const texts = { [`/sys/bus/pci/devices/${A}/iommu_group/name`]: text };
    const { device } = open({ cdev: null, group: '0' }, {}, { texts, nodes: { '/dev/vfio/noiommu-0': 'ok' } });
    expect(device.dma.kind).toBe(kind);
  });
});
