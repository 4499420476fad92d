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
import { codeOf, stubDevice, stubPort } from './stub-port.ts';

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
