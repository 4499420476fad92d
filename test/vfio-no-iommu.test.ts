import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import type { Port } from '../vmm/sys/port.ts';
import { findDevice, openVfioDevice } from '../vmm/vfio/device.ts';
import { attachForDma } from '../vmm/vfio/share.ts';
import { codeOf, stubDevice, stubPort } from './stub-port.ts';
import type { Stub } from './stub-port.ts';

const [VERSION, EXTENSION, SET_IOMMU, GROUP_STATUS, SET_CONTAINER, DEVICE_FD] = [
  0x3b64, 0x3b65, 0x3b66, 0x3b67, 0x3b68, 0x3b6a,
];
const [REGION_INFO, BIND, ATTACH, IOAS_ALLOC] = [0x3b6c, 0x3b76, 0x3b77, 0x3b81];

const folder = '/sys/bus/pci/devices/0000:01:00.0';
const address = '0000:01:00.0';

/** What the kernel has of such a device: no IOMMU that it could attach to, and the containers' type 8 alone. */
function stub(asked: [number, Uint8Array | number][], more: Stub = {}): Stub {
  const device = stubDevice('vfio-pci', '0');
  const record =
    (request: number, answer: number) =>
    (argument: Uint8Array | number): number => {
      asked.push([request, argument]);
      return answer;
    };
  return {
    ...device,
    texts: {
      ...device.texts,
      [`${folder}/iommu_group/name`]: 'vfio-noiommu\n',
      [`${folder}/vfio-dev/noiommu-vfio0/dev`]: '511:0\n',
    },
    folders: { ...device.folders, [`${folder}/vfio-dev`]: ['noiommu-vfio0'] },
    nodes: {
      '/dev/vfio/devices/noiommu-vfio0': 'ok',
      '/dev/iommu': 'ok',
      '/dev/vfio/vfio': 'ok',
      '/dev/vfio/noiommu-0': 'ok',
    },
    ioctls: {
      [VERSION]: () => 0,
      [EXTENSION]: () => 0,
      [GROUP_STATUS]: (bytes) => void (bytes instanceof Uint8Array && (bytes[4] = 1)),
      [SET_CONTAINER]: record(SET_CONTAINER, 0),
      [SET_IOMMU]: record(SET_IOMMU, 0),
      [DEVICE_FD]: record(DEVICE_FD, 9),
      [REGION_INFO]: () => 0,
      [BIND]: record(BIND, 0),
    },
    ...more,
  };
}

/** A port whose device has `command` in each byte of its command register; `written`: what became of it. */
function withCommand(port: Port, written: number[], command = 0xff): Port {
  return {
    ...port,
    pread: (_fd, into) => into.fill(command).byteLength,
    pwrite: (_fd, from) => {
      written.push(from[0] ?? 0);
      return from.byteLength;
    },
  };
}

describe.each(['iommufd', 'container'] as const)("a device in VFIO's no-IOMMU mode, by %s", (iommu) => {
  test('opens, has no address space for DMA, and may start no transfer', () => {
    const asked: [number, Uint8Array | number][] = [];
    const written: number[] = [];
    const { port, open } = stubPort(stub(asked));
    const scope = new Scope();
    const device = openVfioDevice(withCommand(port, written), scope, findDevice(port, address), { iommu });
    expect(device.dma).toEqual({ kind: 'none' });
    expect(written.map((command) => command & 6)).toEqual([2]);
    const requests = asked.map(([request]) => request);
    expect(requests).toEqual(iommu === 'iommufd' ? [BIND] : [SET_CONTAINER, SET_IOMMU, DEVICE_FD]);
    expect(asked.find(([request]) => request === SET_IOMMU)?.[1] ?? 8).toBe(8);
    expect(codeOf(() => attachForDma(port, scope, device, [address]))).toBe('E_NO_IOMMU');
    scope.close();
    expect(open.size).toBe(0);
  });

  test('wants a capability that is named when it is missing', () => {
    const { port, open } = stubPort(
      stub([], {
        nodes: {
          '/dev/vfio/devices/noiommu-vfio0': 'EPERM',
          '/dev/vfio/noiommu-0': 'EPERM',
          '/dev/iommu': 'ok',
          '/dev/vfio/vfio': 'ok',
        },
      }),
    );
    const scope = new Scope();
    expect(() => openVfioDevice(port, scope, findDevice(port, address), { iommu })).toThrow(/CAP_SYS_RAWIO/);
    expect(open.size).toBe(0);
  });
});

test('guest RAM is not for a device without an IOMMU', () => {
  const { port } = stubPort(stub([]));
  const scope = new Scope();
  expect(codeOf(() => attachForDma(port, scope, null, [address]))).toBe('E_NO_IOMMU');
  const first = openVfioDevice(port, scope, findDevice(port, address));
  expect(codeOf(() => attachForDma(port, scope, first, [address]))).toBe('E_NO_IOMMU');
  scope.close();
});

test('a device with an IOMMU is not taken for one without', () => {
  const device = stubDevice('vfio-pci', '0');
  const ioctls = { [BIND]: () => 0, [IOAS_ALLOC]: () => 0, [ATTACH]: () => 0, [REGION_INFO]: () => 0 };
  const { port } = stubPort({
    ...device,
    texts: { ...device.texts, [`${folder}/iommu_group/name`]: 'other\n' },
    nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' },
    ioctls,
  });
  const written: number[] = [];
  const { dma } = openVfioDevice(withCommand(port, written, 0), new Scope(), findDevice(port, address), {
    iommu: 'iommufd',
  });
  expect([dma.kind, written.map((command) => command & 6)]).toEqual(['ioas', [2]]);
});
