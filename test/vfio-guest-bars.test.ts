/** A device's BARs and configuration space as a guest gets them, and what the kernel's refusals to map them mean. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { parseMap } from '../vmm/memory/map.ts';
import type { Region, Window } from '../vmm/memory/windows.ts';
import type { ErrnoName, MmapRequest, Port } from '../vmm/sys/port.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { readConfigSpace } from '../vmm/vfio/config.ts';
import { mapBarWindows, slotParts, wholeBarWindows } from '../vmm/vfio/guest-bars.ts';
import { explainRefusal, mapWindow } from '../vmm/vfio/map-window.ts';
import type { BarSource } from '../vmm/vfio/source.ts';
import { passedDevice } from './fake-pci.ts';
import { codeOf, stubPort } from './stub-port.ts';

const [PAGE, KIB64] = [4096n, 0x1_0000n];
const FD = 10;

function region(bar: number, size: bigint, mmappable: Region['mmappable'] = [{ offset: 0n, length: size }]): Region {
  return { bar, kind: 'memory', size, mmappable };
}

function spelled(windows: readonly Window[]): readonly string[] {
  return windows.map(
    ({ bar, offset, length, attribute }) => `bar${bar}:0x${offset.toString(16)}+0x${length.toString(16)}=${attribute}`,
  );
}

const whole = (maps: readonly string[], regions: readonly Region[], pageSize = PAGE) =>
  spelled(wholeBarWindows(maps.map(parseMap), regions, pageSize));

describe("a guest's windows of a BAR", () => {
  test('are those that were asked for, and default for what is left', () => {
    expect(whole(['bar2:64K+64K=wc', 'bar2:0-4K=device'], [region(2, 4n * KIB64)])).toEqual([
      'bar2:0x0+0x1000=device',
      'bar2:0x10000+0x10000=wc',
      'bar2:0x1000+0xf000=default',
      'bar2:0x20000+0x20000=default',
    ]);
    expect(whole(['bar2=wc'], [region(2, KIB64)])).toEqual(['bar2:0x0+0x10000=wc']);
    expect(whole([], [region(2, KIB64)])).toEqual(['bar2:0x0+0x10000=default']);
  });

  test('take nothing from another BAR', () => {
    expect(whole(['bar2:0-4K=wc'], [region(0, KIB64), region(2, KIB64)])).toEqual([
      'bar2:0x0+0x1000=wc',
      'bar0:0x0+0x10000=default',
      'bar2:0x1000+0xf000=default',
    ]);
  });

  test('leave out what cannot be mapped, and ports', () => {
    const parts = [
      { offset: 0n, length: 0x2000n },
      { offset: 0x3000n, length: 0xd000n },
    ];
    const regions: readonly Region[] = [
      { ...region(0, KIB64), kind: 'io' },
      { bar: 1, kind: 'absent', size: 0n, mmappable: [] },
      region(2, KIB64, parts),
      region(4, KIB64, []),
    ];
    expect(whole([], regions)).toEqual(['bar2:0x0+0x2000=default', 'bar2:0x3000+0xd000=default']);
  });

  test('are whole pages, inside of what can be mapped', () => {
    const parts = [
      { offset: 0x800n, length: 0x4000n },
      { offset: 0x8800n, length: 0x1000n },
      { offset: 0xa000n, length: 0x1000n },
      { offset: 0xc000n, length: 0x800n },
    ];
    expect(whole([], [region(2, KIB64, parts)])).toEqual(['bar2:0x1000+0x3000=default', 'bar2:0xa000+0x1000=default']);
    expect(whole([], [region(2, KIB64, parts)], KIB64)).toEqual([]);
  });
});

interface Mapped {
  readonly requests: MmapRequest[];
  readonly unmapped: [bigint, bigint][];
  readonly port: Port;
}

/** A kernel that gives address space from `at` on, and refuses to map a file where it is asked to. */
function kernel(at: bigint, refuses: ErrnoName | null = null): Mapped {
  const requests: MmapRequest[] = [];
  const unmapped: [bigint, bigint][] = [];
  const { port } = stubPort({});
  return {
    requests,
    unmapped,
    port: {
      ...port,
      mmap(request) {
        if (refuses !== null && request.fd >= 0) throw new SysError('mmap', ERRNO[refuses]);
        requests.push(request);
        return request.address ?? at;
      },
      munmap: (address, length) => void unmapped.push([address, length]),
    },
  };
}

function source(): BarSource {
  return passedDevice(FD, { config: new Uint8Array(), bars: { 2: 0x10_0000 } }).source;
}

describe('the windows of a BAR', () => {
  const WINDOWS: readonly Window[] = [
    { bar: 2, offset: 0n, length: KIB64, attribute: 'device' },
    { bar: 2, offset: 2n * KIB64, length: KIB64, attribute: 'wc' },
  ];

  test('lie at their places in address space that is aligned as the BAR is, and given back with the scope', () => {
    const { port, requests, unmapped } = kernel(0x7f00_0001_0000n);
    const scope = new Scope();
    const { hva, windows } = mapBarWindows(port, scope, source(), region(2, 0x10_0000n), WINDOWS, PAGE);
    expect([hva, windows]).toEqual([0x7f00_0010_0000n, WINDOWS]);
    const [reserved, ...maps] = requests;
    expect(reserved).toMatchObject({ fd: -1, length: 0x20_0000n });
    expect(maps.map(({ address, length, fd, offset }) => [address, length, fd, offset])).toEqual([
      [hva, KIB64, FD, 2n << 40n],
      [hva + 2n * KIB64, KIB64, FD, (2n << 40n) + 2n * KIB64],
    ]);
    scope.close();
    expect(unmapped).toEqual([[0x7f00_0001_0000n, 0x20_0000n]]);
  });

  test('of a BAR smaller than a page have a page', () => {
    const { port, requests } = kernel(0x7f00_0000_1000n);
    expect(mapBarWindows(port, new Scope(), source(), region(2, 256n), [], KIB64).hva).toBe(0x7f00_0001_0000n);
    expect(requests.map(({ length }) => length)).toEqual([2n * KIB64]);
  });

  test('that the kernel refuses leave nothing behind with the scope, and it is said why', () => {
    const { port, unmapped } = kernel(0x7f00_0000_0000n, 'EBUSY');
    const scope = new Scope();
    const run = (): unknown => mapBarWindows(port, scope, source(), region(2, 0x10_0000n), WINDOWS, PAGE);
    expect(codeOf(run)).toBe('E_MAP_CONFLICT');
    scope.close();
    expect(unmapped).toHaveLength(1);
  });
});

describe('a window less the pages that are emulated', () => {
  const window = { offset: 0x4000n, length: 0x8000n };
  test.each([
    ['nothing is', [], [[0x4000n, 0x8000n]]],
    [
      'some bytes in the middle',
      [{ offset: 0x6010n, length: 16n }],
      [
        [0x4000n, 0x2000n],
        [0x7000n, 0x5000n],
      ],
    ],
    [
      'bytes of two pages',
      [{ offset: 0x6ff0n, length: 0x20n }],
      [
        [0x4000n, 0x2000n],
        [0x8000n, 0x4000n],
      ],
    ],
    [
      'a page, to its end',
      [{ offset: 0x6000n, length: 0x1000n }],
      [
        [0x4000n, 0x2000n],
        [0x7000n, 0x5000n],
      ],
    ],
    ['the first', [{ offset: 0x4000n, length: 4n }], [[0x5000n, 0x7000n]]],
    ['all', [{ offset: 0n, length: 0x1_0000n }], []],
    [
      'another part of the BAR',
      [
        { offset: 0n, length: 0x4000n },
        { offset: 0xc000n, length: 1n },
      ],
      [[0x4000n, 0x8000n]],
    ],
  ])('where %s', (_what, emulated, parts) => {
    expect(slotParts(window, emulated, PAGE).map(({ offset, length }) => [offset, length])).toEqual(parts);
  });
});

describe('a mapping that the kernel refuses', () => {
  const WINDOW: Window = { bar: 2, offset: KIB64, length: PAGE, attribute: 'wc' };
  const refused = (errno: ErrnoName) => (): unknown =>
    explainRefusal(source(), WINDOW, () => {
      throw new SysError('mmap', ERRNO[errno]);
    });

  test('with EBUSY has another memory type', () => {
    expect(codeOf(refused('EBUSY'))).toBe('E_MAP_CONFLICT');
    expect(refused('EBUSY')).toThrow(
      /^the kernel refused to map bar2:64K\+4K as wc from --source cookie \(EBUSY\)\. Something has mapped a page of it with another memory type/,
    );
    expect(refused('EBUSY')).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ errnoName: 'EBUSY' }) as unknown }),
    );
  });

  test.each(['ENXIO', 'EINVAL', 'ENOMEM', 'EPERM', 'EACCES', 'EAGAIN'] as const)(
    'with %s is told with what was asked',
    (errno) => {
      expect(codeOf(refused(errno))).toBe('E_SYSCALL');
      expect(refused(errno)).toThrow(
        `from --source cookie (${errno}). Check that the device still answers and that the range`,
      );
    },
  );

  test('otherwise is not explained away', () => {
    expect(refused('EIO')).toThrow(/^mmap: EIO$/);
    expect(() => explainRefusal(source(), WINDOW, () => expect.fail('a bug'))).toThrow('a bug');
    expect(explainRefusal(source(), WINDOW, () => 7)).toBe(7);
  });

  test('is explained for one window too', () => {
    const refusing: BarSource = { ...source(), map: refused('EPERM') as BarSource['map'] };
    const placement = { gpa: 0n, length: PAGE, alignment: PAGE, phase: 0n };
    expect(codeOf(() => mapWindow(refusing, WINDOW, placement))).toBe('E_SYSCALL');
    const asked: unknown[] = [];
    const mapping = { address: 0n } as never;
    const map: BarSource['map'] = (...what) => (asked.push(what), mapping);
    expect(mapWindow({ ...source(), map }, WINDOW, placement)).toBe(mapping);
    expect(asked).toEqual([[WINDOW, placement]]);
  });
});

function described(size: bigint, got = (asked: number): number => asked): Port & { reads: [number, number, bigint][] } {
  const reads: [number, number, bigint][] = [];
  const { port } = stubPort({
    ioctls: {
      0x3b6c: (argument) => {
        const view = new DataView((argument as Uint8Array).buffer);
        if (view.getUint32(8, true) !== 7) return;
        view.setBigUint64(16, size, true);
        view.setBigUint64(24, 0x700_0000n, true);
      },
    },
  });
  return {
    ...port,
    reads,
    pread(fd, into, offset) {
      reads.push([fd, into.byteLength, offset]);
      into.fill(0x5a);
      return got(into.byteLength);
    },
  };
}

describe('a configuration space', () => {
  const { device } = passedDevice(FD, { config: new Uint8Array(), bars: {} }).source;
  test.each([256n, 4096n])('of %i bytes gives the first 256', (size) => {
    const port = described(size);
    expect(readConfigSpace(port, device)).toEqual({ offset: 0x700_0000n, bytes: new Uint8Array(256).fill(0x5a) });
    expect(port.reads).toEqual([[FD, 256, 0x700_0000n]]);
  });

  test.each([
    ['is smaller', described(64n), '64 of 256'],
    ['gives a part of it', described(4096n, () => 100), '100 of 256'],
    ['gives nothing', described(0n), '0 of 256'],
  ])('that %s is an error', (_what, port, said) => {
    expect(codeOf(() => readConfigSpace(port, device))).toBe('E_SYSCALL');
    expect(() => readConfigSpace(port, device)).toThrow(
      `the configuration space of ${device.pci.address} gave ${said} bytes. Check that the device`,
    );
  });
});
