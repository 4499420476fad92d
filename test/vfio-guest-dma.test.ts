import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import type { GuestRam } from '../vmm/memory/ram.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { VfioDevice } from '../vmm/vfio/device.ts';
import type { Dma } from '../vmm/vfio/dma.ts';
import { keptIovas, mapGuestRam } from '../vmm/vfio/guest-dma.ts';
import { tellKvm } from '../vmm/vfio/kvm.ts';
import { passedDevice } from './fake-pci.ts';
import { codeOf, stubPort } from './stub-port.ts';

const [IOAS_COPY, IOAS_RANGES, IOAS_MAP, IOAS_UNMAP] = [0x3b83, 0x3b84, 0x3b85, 0x3b86];
const [IOMMU_INFO, MAP_DMA, UNMAP_DMA] = [0x3b70, 0x3b71, 0x3b72];
const [CREATE_DEVICE, SET_DEVICE_ATTR] = [0xc00caee0, 0x4018aee1];

const GIB = 1n << 30n;
const RANGES = [
  [GIB, 2n * GIB],
  [4n * GIB, GIB],
] as const;

function guestRam(): GuestRam {
  const regions = RANGES.map(([gpa, length]) => ({ gpa, length, mapping: { address: gpa << 8n, length } }));
  return { regions } as unknown as GuestRam;
}

function deviceWith(dma: Dma, fd = 10): VfioDevice {
  const { device } = passedDevice(fd, { config: new Uint8Array(), bars: {} }).source;
  return { ...device, dma };
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** IO address spaces that keep account of what is mapped in them, and have a hole at [2 GiB, 2 GiB + 1 MiB) if asked to. */
function iommu({ fails = null, hasHole = false }: { fails?: number | null; hasHole?: boolean } = {}): {
  port: Port;
  mapped: Set<string>;
  events: string[];
} {
  const mapped = new Set<string>();
  const events: string[] = [];
  let count = 0;
  const failure: ErrnoName = 'ENOMEM';
  let ranges: DataView = new DataView(new ArrayBuffer(0));
  const { port } = stubPort({});
  const change = (how: '+' | 'copy' | '-', what: string): void => {
    events.push(`${how} ${what}`);
    if (how !== '-') mapped.add(what);
    else if (!mapped.delete(what)) throw new Error(`${what} is not mapped`);
  };
  const ioctl: Port['ioctl'] = (fd, request, argument) => {
    if (typeof argument === 'number') return 0;
    const view = new DataView(argument.buffer);
    const word = (at: number): number => view.getUint32(at, true);
    const long = (at: number): bigint => view.getBigUint64(at, true);
    if ([IOAS_MAP, IOAS_COPY, MAP_DMA].includes(request) && ++count === fails)
      throw new SysError('map', ERRNO[failure]);
    switch (request) {
      case IOAS_RANGES: {
        const list = hasHole ? [0n, 2n * GIB - 1n, 2n * GIB + (1n << 20n), (1n << 39n) - 1n] : [0n, (1n << 39n) - 1n];
        view.setUint32(8, list.length / 2, true);
        for (const [index, value] of list.entries()) ranges.setBigUint64(index * 8, value, true);
        break;
      }
      case IOAS_MAP:
        change('+', `ioas ${word(8)} ${hex(long(32))}+${hex(long(24))}`);
        break;
      case IOAS_COPY:
        if (!mapped.has(`ioas ${word(12)} ${hex(long(32))}+${hex(long(16))}`)) throw new Error('a copy of nothing');
        change('copy', `ioas ${word(8)} ${hex(long(24))}+${hex(long(16))}`);
        break;
      case IOAS_UNMAP:
        change('-', `ioas ${word(4)} ${hex(long(8))}+${hex(long(16))}`);
        break;
      case IOMMU_INFO:
        break;
      case MAP_DMA:
        change('+', `container ${fd} ${hex(long(16))}+${hex(long(24))}`);
        break;
      case UNMAP_DMA:
        change('-', `container ${fd} ${hex(long(8))}+${hex(long(16))}`);
        break;
      default:
        throw new Error(`ioctl 0x${request.toString(16)}`);
    }
    return 0;
  };
  const addressOf = (buffer: Uint8Array): bigint => {
    ranges = new DataView(buffer.buffer);
    return 0x1000n;
  };
  return { port: { ...port, ioctl, addressOf }, mapped, events };
}

const ioas = (number: number, iommufd = 5): Dma => ({ kind: 'ioas', iommufd, ioas: number });
const container = (fd: number): Dma => ({ kind: 'container', container: fd });

describe("a guest's RAM for its devices", () => {
  test('is pinned by the first device of an iommufd and shared by the others, at guest-physical addresses, until the scope closes', () => {
    const { port, mapped, events } = iommu();
    const scope = new Scope();
    const devices = [ioas(1), ioas(2), ioas(3, 6), { kind: 'none' } as const].map((dma) => deviceWith(dma));
    mapGuestRam(port, scope, devices, guestRam());
    expect([...mapped].toSorted()).toEqual(
      [1, 2, 3].flatMap((number) => [`ioas ${number} 0x100000000+0x40000000`, `ioas ${number} 0x40000000+0x80000000`]),
    );
    const [low, high] = ['0x40000000+0x80000000', '0x100000000+0x40000000'];
    expect(events).toEqual([low, high].flatMap((ram) => [`+ ioas 1 ${ram}`, `copy ioas 2 ${ram}`, `+ ioas 3 ${ram}`]));
    scope.close();
    expect(mapped.size).toBe(0);
    expect(events.slice(6)).toEqual([high, low].flatMap((ram) => [3, 2, 1].map((number) => `- ioas ${number} ${ram}`)));
  });

  test('is mapped in each container', () => {
    const { port, mapped } = iommu();
    const scope = new Scope();
    mapGuestRam(
      port,
      scope,
      [7, 8].map((fd) => deviceWith(container(fd))),
      guestRam(),
    );
    expect(mapped.size).toBe(4);
    scope.close();
    expect(mapped.size).toBe(0);
  });

  test.each([1, 2, 3, 4])('that cannot be mapped at call %i leaves nothing mapped', (fails) => {
    const { port, mapped } = iommu({ fails });
    const scope = new Scope();
    expect(() =>
      mapGuestRam(
        port,
        scope,
        [ioas(1), ioas(2)].map((dma) => deviceWith(dma)),
        guestRam(),
      ),
    ).toThrow(/ENOMEM/);
    scope.close();
    expect(mapped.size).toBe(0);
  });

  test('is refused where the IOMMU keeps some of its addresses, and those can be asked for before', () => {
    const { port } = iommu({ hasHole: true });
    const scope = new Scope();
    expect(codeOf(() => mapGuestRam(port, scope, [deviceWith(ioas(1))], guestRam()))).toBe('E_IOVA');
    expect(keptIovas(port, [deviceWith(ioas(1)), deviceWith({ kind: 'none' })], 1n << 38n)).toEqual([
      { gpa: 2n * GIB, length: 1n << 20n },
    ]);
    expect(keptIovas(port, [deviceWith(ioas(1))], 1n << 40n)).toEqual([
      { gpa: 2n * GIB, length: 1n << 20n },
      { gpa: 1n << 39n, length: 1n << 39n },
    ]);
  });
});

describe('KVM', () => {
  test('is given the file of each device, and forgets them with the scope', () => {
    const files: number[] = [];
    let value = new Uint8Array(4);
    const { port, open } = stubPort({});
    const told: Port = {
      ...port,
      ioctl(_fd, request, argument) {
        if (request === CREATE_DEVICE && typeof argument !== 'number') {
          new DataView(argument.buffer).setUint32(4, port.eventfd(), true);
        }
        if (request === SET_DEVICE_ATTR) files.push(new DataView(value.buffer).getInt32(0, true));
        return 0;
      },
      addressOf: (buffer) => ((value = new Uint8Array(buffer)), 0x1000n),
    };
    const scope = new Scope();
    tellKvm(told, scope, 3, [deviceWith(ioas(1), 20), deviceWith(ioas(2), 21)]);
    expect([files, open.size]).toEqual([[20, 21], 1]);
    scope.close();
    expect(open.size).toBe(0);
    tellKvm(told, scope, 3, []);
    expect(open.size).toBe(0);
  });
});
