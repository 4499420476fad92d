/** From what the user chose to windows of a BAR, and what the kernel's answers about mmap cookies mean; on a kernel that is made up. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { WcvmmError } from '../common/errors.ts';
import type { Attribute } from '../memattr/index.ts';
import { hasMmapCookies, requestCookie, requireMmapCookies } from '../vmm/vfio/cookie.ts';
import { defaultMaps, openWindows, targetOf } from '../vmm/vfio/open-windows.ts';
import type { Target, WindowChoice } from '../vmm/vfio/open-windows.ts';
import type { Region } from '../vmm/memory/index.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { FakeVfioKernel } from './fake-vfio.ts';
import type { FakeVfio } from './fake-vfio.ts';
import { codeOf, saidBy, stubDevice, stubPort } from './stub-port.ts';

const FEATURE = 0x3b75;
const PAGE = 4096n;
const MIB = 1n << 20n;
const ADDRESS = '0000:01:00.0';
const RESOURCE = `/sys/bus/pci/devices/${ADDRESS}/resource2`;

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof WcvmmError) return error.message;
    throw error;
  }
  return expect.fail('nothing was thrown');
}

function refusing(errno: ErrnoName): Port {
  return stubPort({ ioctls: { [FEATURE]: errno } }).port;
}

function said(wanted: readonly Attribute[]): string {
  return messageOf(() => requireMmapCookies(refusing('ENOTTY'), 5, wanted));
}

describe('mmap cookies', () => {
  test('are there where the kernel says so, and only then', () => {
    expect(hasMmapCookies(stubPort({ ioctls: { [FEATURE]: () => 0 } }).port, 5)).toBe(true);
    expect([hasMmapCookies(refusing('ENOTTY'), 5), hasMmapCookies(refusing('EINVAL'), 5)]).toEqual([false, false]);
    expect(() => hasMmapCookies(refusing('EIO'), 5)).toThrow(/EIO/);
  });

  test('that are missing are said, with what was wanted of them', () => {
    expect(codeOf(() => requireMmapCookies(refusing('ENOTTY'), 5, ['wc']))).toBe('E_COOKIE_UNSUPPORTED');
    expect(said(['wc', 'device', 'wc'])).toMatch(/^this kernel cannot map a BAR as wc, device: its VFIO lacks /);
    expect(said([])).toMatch(/^this kernel cannot map a BAR as a chosen attribute: /);
    expect(said([])).toMatch(/Boot a kernel with the series in kernel-patches\/.*or --source sysfs\.$/);
    expect(codeOf(() => requireMmapCookies(stubPort({ ioctls: { [FEATURE]: () => 0 } }).port, 5, ['wc']))).toBe('none');
  });

  test('say where and how long the mapping is', () => {
    const asked: number[] = [];
    const { port } = stubPort({
      ioctls: {
        [FEATURE](argument) {
          const view = new DataView((argument as Uint8Array).buffer);
          asked.push(view.getUint32(8, true));
          view.setBigUint64(16, 0x7000n, true);
          view.setBigUint64(24, MIB, true);
        },
      },
    });
    expect(requestCookie(port, 5, 3, 'wc')).toEqual({ offset: 0x7000n, length: MIB, attribute: 'wc' });
    expect(asked).toEqual([3]);
  });

  test.each([
    ['ENOTTY', 'E_COOKIE_UNSUPPORTED', /^this kernel cannot map a BAR as wc: /],
    [
      'EOPNOTSUPP',
      'E_COOKIE_REFUSED',
      /BAR 3 with attribute wc: the driver, the platform or the region cannot give it \(EOPNOTSUPP\)\. Ask /,
    ],
    [
      'EINVAL',
      'E_COOKIE_REFUSED',
      /BAR 3 with attribute wc: it knows no such region or attribute \(EINVAL\)\. Ask for another/,
    ],
    [
      'ENOSPC',
      'E_COOKIE_EXHAUSTED',
      /no mmap offsets left for BAR 3 with attribute wc on this device file\. Close the device/,
    ],
  ] as const)('that the kernel refuses with %s: %s', (errno, code, message) => {
    const request = (): unknown => requestCookie(refusing(errno), 5, 3, 'wc');
    expect(codeOf(request)).toBe(code);
    expect(messageOf(request)).toMatch(message);
  });

  test('have the kernel’s refusal as their cause, and no other error is taken for one', () => {
    for (const errno of ['EINVAL', 'ENOSPC'] as const)
      expect(() => requestCookie(refusing(errno), 5, 3, 'wc')).toThrow(
        expect.objectContaining({ cause: expect.objectContaining({ errno: ERRNO[errno] }) as unknown }),
      );
    expect(() => requestCookie(refusing('EIO'), 5, 3, 'wc')).toThrow(/EIO/);
  });
});

const CHOICE: WindowChoice = { source: 'sysfs', device: ADDRESS, iommu: 'auto', maps: [], enforce: false };
const ROOM = { windowBase: 0x1_0000_0000n, gpaLimit: 1n << 39n };

/** A device with a 4 MiB BAR 2, by sysfs. */
function device() {
  return stubPort({ ...stubDevice(null, null), nodes: { [RESOURCE]: 'ok', [`${RESOURCE}_wc`]: 'ok' } });
}

function opened(change: Partial<WindowChoice>, room = ROOM) {
  const stub = device();
  const scope = new Scope();
  const { source, windows } = openWindows(stub.port, scope, room, { ...CHOICE, ...change }, PAGE);
  const [files, mappings] = [stub.open.size, stub.mapped.size];
  scope.close();
  expect([stub.open.size, stub.mapped.size]).toEqual([0, 0]);
  return {
    kind: source.kind,
    files,
    mappings,
    windows: windows.map(({ bar, offset, length, attribute, access, gpa }) => ({
      bar,
      offset,
      length,
      attribute,
      access,
      gpa,
    })),
    mapped: windows.every(({ mapping, length }) => mapping.length === length),
  };
}

describe('windows', () => {
  test('are what was asked for, above each other, each mapped', () => {
    const { windows, mapped, files, mappings } = opened({ maps: ['bar2:0-64K=device', 'bar2:64K-128K=wc'] });
    const [first, second] = windows;
    expect(windows.map(({ attribute, offset, length }) => [attribute, offset, length])).toEqual([
      ['device', 0n, 0x1_0000n],
      ['wc', 0x1_0000n, 0x1_0000n],
    ]);
    expect(windows.map(({ access }) => access)).toEqual(['mapped', 'mapped']);
    expect(first?.gpa).toBe(ROOM.windowBase);
    // Never in one block of 2 MiB.
    expect((second?.gpa ?? 0n) / (2n * MIB)).toBeGreaterThan((first?.gpa ?? 0n) / (2n * MIB));
    expect([mapped, files, mappings]).toEqual([true, 2, 2]);
  });

  test('are all that the source gives where nothing was asked for', () => {
    expect(opened({}).windows.map(({ attribute, offset, length }) => [attribute, offset, length])).toEqual([
      ['device', 0n, 2n * MIB],
      ['wc', 2n * MIB, 2n * MIB],
    ]);
    const memory = opened({ source: 'memory', device: null });
    expect([memory.kind, memory.windows.map(({ attribute, length }) => [attribute, length])]).toEqual([
      'memory',
      [
        ['device', MIB],
        ['wc', MIB],
        ['default', 2n * MIB],
      ],
    ]);
  });

  test('of the attribute device trap where that is asked for', () => {
    const maps = ['bar2:0-64K=device', 'bar2:64K-128K=wc'];
    expect(opened({ maps, enforce: true }).windows.map(({ access }) => access)).toEqual(['trapped', 'mapped']);
    const without = (change: Partial<WindowChoice>): string => messageOf(() => opened({ enforce: true, ...change }));
    expect(without({ maps: ['bar2:0-64K=wc'] })).toBe(
      '--enforce traps device windows, and no --map asks for one; expected one, as in --map bar2:0-64K=device. Or leave out --enforce.',
    );
    expect(codeOf(() => opened({ enforce: true, maps: ['bar2:0-64K=wc'] }))).toBe('E_USAGE');
  });

  test('do not go beyond what a guest can address', () => {
    expect(codeOf(() => opened({ maps: ['bar2=wc'] }, { ...ROOM, gpaLimit: ROOM.windowBase + MIB }))).toBe(
      'E_MAP_RANGE',
    );
  });

  test('of a device need its address', () => {
    expect(codeOf(() => opened({ device: null }))).toBe('E_USAGE');
    expect(messageOf(() => opened({ device: null }))).toBe(
      "--source sysfs maps a device's BAR; expected --device with its PCI address, as in --device 0000:01:00.0.",
    );
  });
});

function target(change: Partial<WindowChoice>): Target {
  return targetOf(device().port, { ...CHOICE, ...change });
}

describe('what a choice is about', () => {
  test('is known without opening anything', () => {
    const stub = device();
    expect(targetOf(stub.port, CHOICE)).toMatchObject({ pci: { address: ADDRESS }, bars: [2] });
    expect([stub.open.size, stub.mapped.size]).toEqual([0, 0]);
  });

  test('is the BARs of its maps, as far as they are memory', () => {
    expect(target({ maps: ['bar2:0-64K=wc'] }).bars).toEqual([2]);
    expect(target({ maps: ['bar0=wc'] }).bars).toEqual([]);
    expect(target({ source: 'memory', device: null })).toEqual({ pci: null, bars: [] });
  });
});

/** A device that VFIO has, with memory BARs of these sizes. */
function held(sizes: Readonly<Record<number, bigint>>, more: Partial<FakeVfio> = {}): FakeVfioKernel {
  const bars = Object.fromEntries(Object.entries(sizes).map(([bar, size]) => [bar, { size }]));
  return new FakeVfioKernel({ devices: [{ address: ADDRESS, bars }], hasCookies: true, ...more });
}

function openedBy(kernel: FakeVfioKernel, change: Partial<WindowChoice>): readonly (readonly [bigint, Attribute])[] {
  const scope = new Scope();
  const { windows } = openWindows(kernel.port, scope, ROOM, { ...CHOICE, ...change }, PAGE);
  scope.close();
  return windows.map(({ length, attribute }) => [length, attribute]);
}

describe('a choice without --map', () => {
  test.each([
    [{ 0: PAGE, 2: MIB, 4: 2n * MIB }, [4]],
    [{ 0: 2n * MIB, 2: MIB, 4: PAGE }, [0]],
    [{ 1: PAGE, 2: MIB, 4: MIB }, [2]],
    [{}, []],
  ])('of BARs of the sizes %o is about BAR %j', (sizes, bars) => {
    const { port, events } = held(sizes);
    expect(targetOf(port, { ...CHOICE, source: 'cookie' }).bars).toEqual(bars);
    expect(events).toEqual([]);
  });

  test('is about the BARs that are named, where some are', () => {
    const choice = { ...CHOICE, source: 'cookie', maps: ['bar0=wc', 'bar1=wc', 'bar2=wc'] } as const;
    expect(targetOf(held({ 0: MIB, 2: PAGE }).port, choice).bars).toEqual([0, 2]);
  });

  test('divides a BAR by cookies, and has all of it by the mmap offset of the region', () => {
    expect(openedBy(held({ 2: 4n * MIB }), { source: 'cookie' })).toEqual([
      [MIB, 'device'],
      [MIB, 'wc'],
      [2n * MIB, 'default'],
    ]);
    expect(openedBy(held({ 2: 4n * MIB }, { hasCookies: false }), { source: 'legacy' })).toEqual([
      [4n * MIB, 'default'],
    ]);
  });
});

function withoutCookies(change: Partial<WindowChoice>): string {
  return saidBy(() => openedBy(held({ 2: 4n * MIB }, { hasCookies: false }), change));
}

describe('a choice of a kernel that cannot give it', () => {
  test('says which of the attributes need cookies', () => {
    expect(withoutCookies({ source: 'cookie' })).toMatch(
      /^E_COOKIE_UNSUPPORTED: this kernel cannot map a BAR as device, wc: /,
    );
    const maps = ['bar2:0-4K=wc', 'bar2:4K-8K=wc'];
    expect(withoutCookies({ source: 'cookie', maps })).toMatch(
      /^E_COOKIE_UNSUPPORTED: this kernel cannot map a BAR as wc: /,
    );
    expect(withoutCookies({ source: 'legacy', maps })).toMatch(/^E_SOURCE: --source legacy cannot map a BAR as wc/);
  });

  test('says that a source gives no window that could trap', () => {
    expect(withoutCookies({ source: 'legacy', enforce: true })).toBe(
      'E_USAGE: --enforce traps device windows, and the source legacy gives none; expected another --source. Or leave out --enforce.',
    );
  });
});

test('a choice of sysfs opens no file of VFIO for a device that has no driver', () => {
  const kernel = new FakeVfioKernel({
    devices: [{ address: ADDRESS, driver: null, group: null, bars: { 2: { size: 4n * MIB } } }],
    nodes: { [RESOURCE]: 'ok', [`${RESOURCE}_wc`]: 'ok' },
  });
  expect(openedBy(kernel, {}).map(([, attribute]) => attribute)).toEqual(['device', 'wc']);
  expect(kernel.events.filter((event) => event.startsWith('open '))).toEqual([
    `open ${RESOURCE}`,
    `open ${RESOURCE}_wc`,
  ]);
});

function region(bar: number, size: bigint, kind: Region['kind'] = 'memory', length = size, offset = 0n): Region {
  return { bar, kind, size, mmappable: length === 0n ? [] : [{ offset, length }] };
}

describe('a BAR that is divided', () => {
  test('is the largest that can be mapped, the first of two', () => {
    const regions = [
      region(0, PAGE * 4n),
      region(1, MIB),
      region(2, MIB),
      region(3, 4n * MIB, 'io'),
      region(4, 4n * MIB, 'memory', 0n),
    ];
    expect(
      defaultMaps('cookie', regions, PAGE).map(({ bar, start, end, attribute, text }) => [
        bar,
        start,
        end,
        attribute,
        text,
      ]),
    ).toEqual([
      [1, 0n, MIB / 4n, 'device', `bar1:0-${MIB / 4n}=device`],
      [1, MIB / 4n, MIB / 2n, 'wc', `bar1:${MIB / 4n}-${MIB / 2n}=wc`],
      [1, MIB / 2n, MIB, 'default', `bar1:${MIB / 2n}-${MIB}=default`],
    ]);
    expect(codeOf(() => defaultMaps('cookie', [region(3, MIB, 'io')], PAGE))).toBe('E_MAP_REGION');
  });

  test.each([
    ['has a hole at its end', region(2, MIB, 'memory', MIB - PAGE)],
    ['has one at its start', region(2, MIB, 'memory', MIB - PAGE, PAGE)],
    ['is too small', region(2, PAGE)],
  ])('cannot be where it %s', (_what, one) => {
    const divide = (): unknown => defaultMaps('cookie', [one], PAGE);
    expect(codeOf(divide)).toBe('E_MAP_RANGE');
    expect(messageOf(divide)).toMatch(/^BAR 2 \(.*\) cannot be divided .* as in --map bar2:0-4K=wc\.$/);
  });
});
