import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { normaliseAddress, parseResources } from '../vmm/sys/pci.ts';
import { requestCookie, requireMmapCookies } from '../vmm/vfio/cookie.ts';
import { findDevice, openVfioDevice } from '../vmm/vfio/device.ts';
import { openSource } from '../vmm/vfio/source.ts';
import { VENDOR_DRIVERS, codeOf, stubDevice, stubPort } from './stub-port.ts';
import type { Stub } from './stub-port.ts';

const BIND = 0x3b76;
const FEATURE = 0x3b75;
const VERSION = 0x3b64;
const EXTENSION = 0x3b65;
const GROUP_STATUS = 0x3b67;

function openDevice(stub: Stub, iommu: 'iommufd' | 'container' = 'iommufd'): { code: string; open: number } {
  const { port, open } = stubPort(stub);
  const scope = new Scope();
  const code = codeOf(() => openVfioDevice(port, scope, findDevice(port, '0000:01:00.0'), { iommu }));
  scope.close();
  return { code, open: open.size };
}

describe('a PCI address', () => {
  test.each([
    ['0000:01:00.0', '0000:01:00.0'],
    ['1:00.0', '0000:01:00.0'],
    ['0000:0A:1F.7', '0000:0a:1f.7'],
    ['bar2', null],
    ['0000:01:00.8', null],
    ['../../etc', null],
  ])('%s is %s', (text, address) => {
    expect(normaliseAddress(text)).toBe(address);
  });

  test('that is none is E_USAGE; that nobody has, E_DEVICE_ABSENT', () => {
    const { port } = stubPort({});
    expect(codeOf(() => findDevice(port, 'eth0'))).toBe('E_USAGE');
    expect(codeOf(() => findDevice(port, '0000:7f:00.0'))).toBe('E_DEVICE_ABSENT');
  });
});

test('resource lines become BARs: memory, I/O, absent', () => {
  const bars = parseResources(
    '0x000000000000c000 0x000000000000c03f 0x0000000000040101\n0x00000000fe000000 0x00000000fe000fff 0x0000000000040200\ngarbage',
  );
  expect(bars.map(({ kind, size }) => [kind, size])).toEqual([
    ['io', 64n],
    ['memory', 4096n],
    ['absent', 0n],
  ]);
});

const IOCTLS = { [BIND]: () => 0, 0x3b81: () => 0, 0x3b77: () => 0, 0x3b6c: () => 0 };

describe("a device that a vendor's VFIO driver has", () => {
  const nodes = { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' } as const;
  const address = '0000:01:00.0';

  test.each([...VENDOR_DRIVERS, 'vendor_gpu'])("opens as %s: it is one of VFIO's class", (driver) => {
    const { port, open } = stubPort({ ...stubDevice(driver, '5', 'cdev'), nodes, ioctls: IOCTLS });
    const scope = new Scope();
    expect(openVfioDevice(port, scope, findDevice(port, address)).dma.kind).toBe('ioas');
    scope.close();
    expect(open.size).toBe(0);
  });

  test.each([...VENDOR_DRIVERS, 'vfio-pci'])('is known as %s on a kernel without the class', (driver) => {
    const { port } = stubPort(stubDevice(driver, '5', null));
    expect(findDevice(port, address)).toMatchObject({ hasVfioDriver: true, vfioCdev: null });
  });

  test.each(['mlx5_core', 'nvme', 'vfio_pci_core_test', 'notvfio-pci', null])('%s is none', (driver) => {
    const { port } = stubPort(stubDevice(driver, '5', null));
    expect(findDevice(port, address).hasVfioDriver).toBe(false);
  });

  test('a kernel with the class and without character devices is reached by the container', () => {
    const ioctls = {
      ...IOCTLS,
      [VERSION]: () => 0,
      [EXTENSION]: () => 1,
      [GROUP_STATUS]: (bytes: Uint8Array | number) => void (bytes instanceof Uint8Array && (bytes[4] = 1)),
      0x3b68: () => 0,
      0x3b66: () => 0,
      0x3b6a: () => 9,
    };
    const group = { '/dev/vfio/vfio': 'ok', '/dev/vfio/5': 'ok', '/dev/iommu': 'ok' } as const;
    const { port } = stubPort({ ...stubDevice('vfio-pci', '5', 'member'), nodes: group, ioctls });
    expect(openVfioDevice(port, new Scope(), findDevice(port, address)).dma.kind).toBe('container');
  });

  test.each(VENDOR_DRIVERS)('is opened, not refused, for --source sysfs as %s', (driver) => {
    const { port } = stubPort({ ...stubDevice(driver, '5', 'cdev'), nodes, ioctls: IOCTLS });
    const source = openSource(port, new Scope(), { kind: 'sysfs', pci: findDevice(port, address) });
    expect(source.device?.dma.kind).toBe('ioas');
  });
});

describe('a device that cannot be opened', () => {
  const nodes = { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' } as const;
  test.each<[string, Stub, string]>([
    ['no IOMMU group', { ...stubDevice('vfio-pci', null), folders: {}, nodes }, 'E_NO_IOMMU'],
    ['another driver', { ...stubDevice('nvme', '5'), nodes }, 'E_DEVICE_DRIVER'],
    ['no driver', { ...stubDevice(null, '5'), nodes }, 'E_DEVICE_DRIVER'],
    [
      'no permission',
      { ...stubDevice('vfio-pci', '5'), nodes: { ...nodes, '/dev/vfio/devices/vfio0': 'EACCES' } },
      'E_PERMISSION',
    ],
    [
      'no permission for the iommufd',
      { ...stubDevice('vfio-pci', '5'), nodes: { ...nodes, '/dev/iommu': 'EPERM' } },
      'E_PERMISSION',
    ],
    ['no iommufd', { ...stubDevice('vfio-pci', '5'), nodes: { '/dev/vfio/devices/vfio0': 'ok' } }, 'E_NO_IOMMU'],
    [
      'used by another process',
      { ...stubDevice('vfio-pci', '5'), nodes, ioctls: { [BIND]: 'EBUSY' } },
      'E_DEVICE_DRIVER',
    ],
    [
      'bound to an iommufd of another process',
      { ...stubDevice('vfio-pci', '5'), nodes, ioctls: { [BIND]: 'EINVAL' } },
      'E_DEVICE_DRIVER',
    ],
  ])('%s: %s', (_name, stub, code) => {
    expect(openDevice(stub)).toEqual({ code, open: 0 });
  });

  test('a group that is not viable', () => {
    const container = { '/dev/vfio/vfio': 'ok', '/dev/vfio/5': 'ok' } as const;
    const ioctls = { [VERSION]: () => 0, [EXTENSION]: () => 1, [GROUP_STATUS]: () => 0 };
    expect(openDevice({ ...stubDevice('vfio-pci', '5'), nodes: container, ioctls }, 'container')).toEqual({
      code: 'E_DEVICE_DRIVER',
      open: 0,
    });
  });
});

describe('a cookie that is refused', () => {
  test.each([
    ['ENOTTY', 'E_COOKIE_UNSUPPORTED'],
    ['EOPNOTSUPP', 'E_COOKIE_REFUSED'],
    ['EINVAL', 'E_COOKIE_REFUSED'],
    ['ENOSPC', 'E_COOKIE_EXHAUSTED'],
  ] as const)('%s is %s', (errno, code) => {
    const { port } = stubPort({ ioctls: { [FEATURE]: errno } });
    expect(codeOf(() => requestCookie(port, 3, 2, 'wc'))).toBe(code);
  });

  test('an unpatched kernel is told by name what it lacks', () => {
    const { port } = stubPort({ ioctls: { [FEATURE]: 'ENOTTY' } });
    expect(() => requireMmapCookies(port, 3, ['wc'])).toThrow(/VFIO_DEVICE_FEATURE_MMAP_COOKIE/);
  });
});

describe('sysfs', () => {
  const folder = '/sys/bus/pci/devices/0000:01:00.0';
  const window = { bar: 2, offset: 0n, length: 4096n };
  const placement = { gpa: 0x1_0000_0000n, length: 4096n, alignment: 4096n, phase: 0n };

  test('switches a device without a driver on, and off again', () => {
    const device = stubDevice(null, null);
    const { port, written, open, mapped } = stubPort({ ...device, nodes: { [`${folder}/resource2`]: 'ok' } });
    const scope = new Scope();
    const source = openSource(port, scope, { kind: 'sysfs', pci: findDevice(port, '0000:01:00.0') });
    expect(written.get(`${folder}/enable`)).toBe('1');
    source.map({ ...window, attribute: 'device' }, placement);
    expect(codeOf(() => source.map({ ...window, attribute: 'wc' }, placement))).toBe('E_SOURCE');
    scope.close();
    expect(written.get(`${folder}/enable`)).toBe('0');
    expect([open.size, mapped.size]).toEqual([0, 0]);
  });

  test('leaves a device that a driver uses alone', () => {
    const { port, written } = stubPort(stubDevice('nvme', '5'));
    expect(codeOf(() => openSource(port, new Scope(), { kind: 'sysfs', pci: findDevice(port, '0000:01:00.0') }))).toBe(
      'E_DEVICE_DRIVER',
    );
    expect(written.size).toBe(0);
  });

  test('a mapping that the kernel refuses leaves nothing mapped', () => {
    const { port, mapped, open } = stubPort({
      ...stubDevice(null, null),
      nodes: { [`${folder}/resource2`]: 'ok' },
      mmap: 'EPERM',
    });
    const scope = new Scope();
    const source = openSource(port, scope, { kind: 'sysfs', pci: findDevice(port, '0000:01:00.0') });
    expect(() => source.map({ ...window, attribute: 'device' }, placement)).toThrow(/EPERM/);
    scope.close();
    expect([open.size, mapped.size]).toEqual([0, 0]);
  });
});
