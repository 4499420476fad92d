import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import type { Port } from '../vmm/sys/port.ts';
import { findDevice, openVfioDevice } from '../vmm/vfio/device.ts';
import type { IommuPath } from '../vmm/vfio/device.ts';
import { attachForDma, ramForDevices } from '../vmm/vfio/share.ts';
import { codeOf, stubDevice, stubPort } from './stub-port.ts';

const [VERSION, EXTENSION, SET_IOMMU, GROUP_STATUS, SET_CONTAINER, DEVICE_FD] = [
  0x3b64, 0x3b65, 0x3b66, 0x3b67, 0x3b68, 0x3b6a,
];
const [REGION_INFO, IOMMU_INFO, MAP_DMA, BIND, ATTACH] = [0x3b6c, 0x3b70, 0x3b71, 0x3b76, 0x3b77];
const [IOAS_ALLOC, IOAS_RANGES, IOAS_MAP] = [0x3b81, 0x3b84, 0x3b85];

const ADDRESS = '0000:01:00.0';
const RAM = { address: 0x7f00_0000_0000n, length: 4n << 20n };
const GPA = 0x4000_0000n;
const ALL = [{ start: 0n, last: (1n << 48n) - 1n }];
/** RAM from 1 GiB on runs into it. */
const HOLE = [
  { start: 0n, last: 0x400f_ffffn },
  { start: 0x4020_0000n, last: (1n << 48n) - 1n },
];

function ranges(into: DataView, at: number, list: typeof ALL): void {
  for (const [index, { start, last }] of list.entries()) {
    into.setBigUint64(at + index * 16, start, true);
    into.setBigUint64(at + index * 16 + 8, last, true);
  }
}

function view(argument: Uint8Array | number): DataView {
  return new DataView(typeof argument === 'number' ? new ArrayBuffer(0) : argument.buffer);
}

interface Seen {
  /** What happened, in its order: RAM mapped at which IOVA, the command register written with which bits. */
  readonly events: string[];
}

/** A device whose IOMMU allows `allowed`. */
function machine(allowed: typeof ALL): { port: Port } & Seen {
  const events: string[] = [];
  let rangeArray = view(0);
  const mapped =
    (iovaAt: number) =>
    (argument: Uint8Array | number): void =>
      void events.push(`RAM at 0x${view(argument).getBigUint64(iovaAt, true).toString(16)}`);
  const { port } = stubPort({
    ...stubDevice('vfio-pci', '5'),
    nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok', '/dev/vfio/vfio': 'ok', '/dev/vfio/5': 'ok' },
    ioctls: {
      [VERSION]: () => 0,
      [EXTENSION]: () => 1,
      [GROUP_STATUS]: (bytes) => view(bytes).setUint32(4, 1, true),
      [SET_CONTAINER]: () => 0,
      [SET_IOMMU]: () => 0,
      [DEVICE_FD]: () => 9,
      [REGION_INFO]: () => 0,
      [BIND]: () => 0,
      [ATTACH]: () => 0,
      [IOAS_ALLOC]: () => 0,
      [IOAS_RANGES]: (bytes) => {
        view(bytes).setUint32(8, allowed.length, true);
        ranges(rangeArray, 0, allowed);
      },
      [IOAS_MAP]: mapped(32),
      [IOMMU_INFO]: (bytes) => {
        const reply = view(bytes);
        const length = 24 + 16 + allowed.length * 16;
        reply.setUint32(0, length, true);
        reply.setUint32(4, 2, true);
        if (reply.byteLength < length) return;
        reply.setUint32(16, 24, true);
        reply.setUint16(24, 1, true);
        reply.setUint32(32, allowed.length, true);
        ranges(reply, 40, allowed);
      },
      [MAP_DMA]: mapped(16),
    },
  });
  return {
    events,
    port: {
      ...port,
      addressOf: (buffer) => {
        rangeArray = new DataView(buffer.buffer);
        return 0x1000n;
      },
      pwrite: (_fd, from) => {
        events.push(`command ${from[0]}`);
        return from.byteLength;
      },
    },
  };
}

function twinPath(path: string): string {
  return path.replace('0000:02:00.0', ADDRESS);
}

/** With a second device at 0000:02:00.0 that is like the first. */
function withTwin(port: Port): Port {
  return {
    ...port,
    exists: (text) => port.exists(twinPath(text)),
    readText: (text) => port.readText(twinPath(text)),
    list: (text) => port.list(twinPath(text)),
    linkName: (text) => port.linkName(twinPath(text)),
  };
}

describe.each<IommuPath>(['iommufd', 'container'])('guest RAM for a device, by %s', (iommu) => {
  const open = ({ port }: { port: Port }) => openVfioDevice(port, new Scope(), findDevice(port, ADDRESS), { iommu });

  test('lies at its guest-physical address, and only then may the device start transfers', () => {
    const { port, events } = machine(ALL);
    const devices = attachForDma(port, new Scope(), open({ port }), [ADDRESS]);
    expect(ramForDevices(port, devices, RAM, GPA)).toMatchObject([{ iova: GPA, length: RAM.length }]);
    expect(events).toEqual(['command 2', 'RAM at 0x40000000', 'command 4']);
  });

  test('is refused where the IOMMU reserves a part of it: a guest could not know where it is instead', () => {
    const { port, events } = machine(HOLE);
    const devices = attachForDma(port, new Scope(), open({ port }), [ADDRESS]);
    const run = (): unknown => ramForDevices(port, devices, RAM, GPA);
    expect(codeOf(run)).toBe('E_IOVA');
    expect(run).toThrow(/\(0x40000000-0x403fffff\).* reserves 0x40100000-0x401fffff of them/);
    expect(events).toEqual(['command 2']);
  });

  test('is not for a device that was only opened for its windows', () => {
    const { port, events } = machine(ALL);
    const devices = attachForDma(port, new Scope(), open({ port }), []);
    expect(ramForDevices(port, devices, RAM, GPA)).toEqual([]);
    expect(events).toEqual(['command 2']);
  });
});

test('a second device needs iommufd, to share the pages', () => {
  const { port } = machine(ALL);
  const scope = new Scope();
  const first = openVfioDevice(port, scope, findDevice(port, ADDRESS), { iommu: 'container' });
  expect(codeOf(() => attachForDma(withTwin(port), scope, first, [ADDRESS, '0000:02:00.0']))).toBe('E_USAGE');
  expect(attachForDma(port, scope, first, [ADDRESS, '01:00.0'])).toEqual([first]);
});

test.each(['pread', 'pwrite'] as const)('a command register that a %s gives a part of is no register', (call) => {
  const { port } = machine(ALL);
  const short: Port = { ...port, [call]: () => 1 };
  const opened = (): unknown => openVfioDevice(short, new Scope(), findDevice(port, ADDRESS));
  expect(codeOf(opened)).toBe('E_SYSCALL');
  expect(opened).toThrow(/1 of 2 bytes/);
});

test('a device that is only asked about is not switched on', () => {
  const { port, events } = machine(ALL);
  openVfioDevice(port, new Scope(), findDevice(port, ADDRESS), { memory: false });
  expect(events).toEqual([]);
});
