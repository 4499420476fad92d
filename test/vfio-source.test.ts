/** Where the mapping of a BAR comes from: which file and which offset for which attribute, and what of a BAR can be had at all. */
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import type { Attribute } from '../memattr/index.ts';
import type { Window } from '../vmm/memory/index.ts';
import type { Port } from '../vmm/sys/port.ts';
import { findDevice } from '../vmm/vfio/device.ts';
import { openSource, requireSource } from '../vmm/vfio/source.ts';
import type { BarSource, SourceRequest } from '../vmm/vfio/source.ts';
import { FakeVfioKernel, REQUEST, cookieOffset, ownOffset } from './fake-vfio.ts';
import type { FakeBar, FakeVfio, FakeVfioDevice } from './fake-vfio.ts';
import { codeOf, saidBy } from './stub-port.ts';

const A = '0000:01:00.0';
const FOLDER = `/sys/bus/pci/devices/${A}`;
const [PAGE, MIB] = [4096n, 1n << 20n];
const SPARSE = 1;
const [DEFAULT, DEVICE, WC] = [0, 1, 2];

/** BAR 0: ports; BAR 2: all can be mapped; BAR 3: two parts of it; BAR 4: nothing; the others are absent. */
const BARS: Readonly<Record<number, FakeBar>> = {
  0: { size: 64n, isIo: true, flags: 3 },
  2: { size: 4n * MIB },
  3: { size: MIB, capabilities: [{ id: SPARSE, words: [2, 0, 0, 0, 0x1000, 0, 0x8000, 0, 0x2000, 0] }] },
  4: { size: MIB, flags: 3 },
};

function window(attribute: Attribute, change: Partial<Window> = {}): Window {
  return { bar: 2, offset: PAGE, length: 2n * PAGE, attribute, ...change };
}

interface Opened {
  readonly kernel: FakeVfioKernel;
  readonly scope: Scope;
  readonly source: BarSource;
}

type Kind = 'cookie' | 'legacy' | 'sysfs';

function requestFor(kernel: FakeVfioKernel, kind: Kind): SourceRequest {
  const pci = findDevice(kernel.port, A);
  return kind === 'sysfs' ? { kind, pci } : { kind, pci, attributes: ['wc'] };
}

function open(kind: Kind, more: Partial<FakeVfio> = {}, device: Partial<FakeVfioDevice> = {}): Opened {
  const kernel = new FakeVfioKernel({ devices: [{ address: A, bars: BARS, ...device }], hasCookies: true, ...more });
  const scope = new Scope();
  return { kernel, scope, source: openSource(kernel.port, scope, requestFor(kernel, kind)) };
}

const PLACEMENT = { gpa: 1n << 32n, length: 2n * PAGE, alignment: 2n * PAGE, phase: 0n };

describe.each(['cookie', 'legacy'] as const)('the source %s', (kind) => {
  test('shows each BAR as VFIO describes it', () => {
    const { source } = open(kind);
    expect(source.regions).toEqual([
      { bar: 0, kind: 'io', size: 64n, mmappable: [] },
      { bar: 1, kind: 'absent', size: 0n, mmappable: [] },
      { bar: 2, kind: 'memory', size: 4n * MIB, mmappable: [{ offset: 0n, length: 4n * MIB }] },
      {
        bar: 3,
        kind: 'memory',
        size: MIB,
        mmappable: [
          { offset: 0n, length: 0x1000n },
          { offset: 0x8000n, length: 0x2000n },
        ],
      },
      { bar: 4, kind: 'memory', size: MIB, mmappable: [] },
      { bar: 5, kind: 'absent', size: 0n, mmappable: [] },
    ]);
    expect(source).toMatchObject({ kind, pci: { address: A }, device: { dma: { kind: 'ioas' } } });
  });

  test('maps a window out of the file of the device, until its scope closes', () => {
    const { kernel, scope, source } = open(kind);
    const offset = (kind === 'cookie' ? cookieOffset(2, DEFAULT) : ownOffset(2)) + PAGE;
    expect(source.slice(window('default'))).toEqual({ fd: source.device?.fd, offset, length: 2n * PAGE });
    const mapping = source.map(window('default'), PLACEMENT);
    expect(mapping.length).toBe(2n * PAGE);
    expect(kernel.events.at(-1)).toBe(`map /dev/vfio/devices/vfio0 at 0x${offset.toString(16)}`);
    expect(kernel.mapped.size).toBe(1);
    scope.close();
    expect([kernel.mapped.size, kernel.files.size]).toEqual([0, 0]);
  });

  test('takes for memory what both VFIO and sysfs say is', () => {
    const memory = '0x80000000 0x803fffff 0x200';
    const resource = `${memory}\n0x0 0x0 0x0\n${memory}\n${memory}\n${memory}`;
    // None of them is both but BAR 2: sysfs has no line for the last.
    const bars = { 1: { size: MIB }, 2: { size: MIB }, 5: { size: MIB } };
    const { source } = open(kind, { texts: { [`${FOLDER}/resource`]: resource } }, { bars });
    expect(source.regions.map((region) => region.kind)).toEqual([
      'absent',
      'absent',
      'memory',
      'absent',
      'absent',
      'absent',
    ]);
  });

  test('opens the device as is asked for', () => {
    const kernel = new FakeVfioKernel({ devices: [{ address: A, bars: BARS }], hasCookies: true });
    const [scope, pci] = [new Scope(), findDevice(kernel.port, A)];
    const source = openSource(kernel.port, scope, { kind, pci, attributes: [], iommu: 'container' });
    expect(source.device?.dma.kind).toBe('container');
    scope.close();
    const iommufd = kernel.port.open('/dev/iommu', 2);
    const shared = openSource(kernel.port, scope, { kind, pci, attributes: [], shared: iommufd });
    expect(shared.device?.dma).toMatchObject({ kind: 'ioas', iommufd });
    scope.close();
    expect([...kernel.files.values()]).toEqual(['/dev/iommu']);
  });
});

describe('an attribute', () => {
  test('is in the cookie that is mapped', () => {
    const { source } = open('cookie');
    expect([window('device'), window('wc'), window('wc', { bar: 3 })].map((one) => source.slice(one).offset)).toEqual([
      cookieOffset(2, DEVICE) + PAGE,
      cookieOffset(2, WC) + PAGE,
      cookieOffset(3, WC) + PAGE,
    ]);
  });

  test('other than default is not to be had by the mmap offset of a region', () => {
    const { source, kernel } = open('legacy');
    for (const attribute of ['device', 'wc'] as const) {
      const map = (): unknown => source.map(window(attribute), PLACEMENT);
      expect(codeOf(map)).toBe('E_SOURCE');
      expect(map).toThrow(
        new RegExp(
          `^--source legacy cannot map a BAR as ${attribute}: REGION_INFO's .* gives default only\\. Use --source cookie on a`,
        ),
      );
    }
    expect(kernel.mapped.size).toBe(0);
  });

  test('needs a kernel with cookies, and default does not', () => {
    expect(codeOf(() => open('cookie', { hasCookies: false }))).toBe('E_COOKIE_UNSUPPORTED');
    expect(() => open('cookie', { hasCookies: false })).toThrow(/cannot map a BAR as wc: /);
    expect(open('legacy', { hasCookies: false }).source.kind).toBe('legacy');
  });
});

function areasWith(bar: FakeBar): BarSource['regions'][number]['mmappable'] | undefined {
  return open('legacy', {}, { bars: { 2: bar } }).source.regions[2]?.mmappable;
}

describe('capabilities of a region', () => {
  const whole = [{ offset: 0n, length: MIB }];

  test('say what can be mapped only where one of them does', () => {
    expect(areasWith({ size: MIB, capabilities: [{ id: 3, words: [] }] })).toEqual(whole);
    expect(areasWith({ size: MIB, capabilities: [{ id: SPARSE, words: [0, 0] }] })).toEqual([]);
    expect(areasWith({ size: MIB, capabilities: [{ id: SPARSE, words: [1] }] })).toEqual([]);
    expect(areasWith({ size: MIB, flags: 7 | 8 })).toEqual([]);
    expect(areasWith({ size: MIB, flags: 3, capabilities: [{ id: 3, words: [] }] })).toEqual([]);
  });
});

const NO_DRIVER = { driver: null, group: null };
const NODES = {
  [`${FOLDER}/resource2`]: 'ok',
  [`${FOLDER}/resource2_wc`]: 'ok',
  [`${FOLDER}/resource3`]: 'ok',
} as const;

describe('the source sysfs', () => {
  test('shows the BARs that have a file, all of each', () => {
    const { source } = open('sysfs', { nodes: { ...NODES, [`${FOLDER}/resource0`]: 'ok' } }, NO_DRIVER);
    const absent = { kind: 'absent', size: 0n, mmappable: [] };
    expect(source.regions).toEqual([
      { bar: 0, kind: 'io', size: 64n, mmappable: [] },
      { bar: 1, ...absent },
      { bar: 2, kind: 'memory', size: 4n * MIB, mmappable: [{ offset: 0n, length: 4n * MIB }] },
      { bar: 3, kind: 'memory', size: MIB, mmappable: [{ offset: 0n, length: MIB }] },
      { bar: 4, kind: 'memory', size: MIB, mmappable: [] },
      { bar: 5, ...absent },
    ]);
    expect([source.kind, source.device]).toEqual(['sysfs', null]);
  });

  test('maps the file that gives the attribute, and opens it once', () => {
    const { kernel, scope, source } = open('sysfs', { nodes: NODES }, NO_DRIVER);
    const names = (['device', 'default', 'wc', 'wc'] as const).map((attribute) => {
      const { fd, offset, length } = source.slice(window(attribute));
      expect([offset, length]).toEqual([PAGE, 2n * PAGE]);
      return kernel.files.get(fd);
    });
    const [plain, combining] = [`${FOLDER}/resource2`, `${FOLDER}/resource2_wc`];
    expect(names).toEqual([plain, plain, combining, combining]);
    source.map(window('wc'), PLACEMENT);
    expect(kernel.events).toEqual([`open ${plain}`, `open ${combining}`, `map ${combining} at 0x1000`]);
    scope.close();
    expect([kernel.files.size, kernel.mapped.size]).toEqual([0, 0]);
  });

  test('has no attribute that has no file', () => {
    const { source } = open('sysfs', { nodes: NODES }, NO_DRIVER);
    const map = (): unknown => source.slice(window('wc', { bar: 3 }));
    expect(codeOf(map)).toBe('E_SOURCE');
    expect(map).toThrow(
      /^--source sysfs cannot map a BAR as wc: sysfs has no resource file for it\. Use --source cookie/,
    );
  });

  test('goes on with a file that it has open, and says so where one went away before', () => {
    const kernel = new FakeVfioKernel({ devices: [{ address: A, bars: BARS, ...NO_DRIVER }], nodes: NODES });
    let isThere = true;
    const port: Port = { ...kernel.port, exists: (path) => isThere && kernel.port.exists(path) };
    const source = openSource(port, new Scope(), requestFor(kernel, 'sysfs'));
    const first = source.slice(window('wc'));
    isThere = false;
    expect(source.slice(window('wc'))).toEqual(first);
    expect(codeOf(() => source.slice(window('device')))).toBe('E_SOURCE');
    const gone = open('sysfs', { nodes: { ...NODES, [`${FOLDER}/resource3`]: 'ENODEV' } }, NO_DRIVER);
    expect(saidBy(() => gone.source.slice(window('device', { bar: 3 })))).toMatch(
      /^E_DEVICE_ABSENT: .*resource3 went away; was the device removed\?$/,
    );
    expect(gone.kernel.files.size).toBe(0);
  });

  test('switches a device without a driver on, and one that VFIO has by opening it', () => {
    const without = open('sysfs', { nodes: NODES }, NO_DRIVER);
    expect([...without.kernel.written]).toEqual([[`${FOLDER}/enable`, '1']]);
    without.scope.close();
    expect([...without.kernel.written]).toEqual([[`${FOLDER}/enable`, '0']]);
    const held = open('sysfs', { nodes: NODES });
    expect([held.kernel.written.size, held.kernel.command(A), held.source.device?.pci.address]).toEqual([0, 2, A]);
    held.scope.close();
    expect(held.kernel.files.size).toBe(0);
  });
});

function required(kind: Kind, device: Partial<FakeVfioDevice>): string {
  const kernel = new FakeVfioKernel({ devices: [{ address: A, ...device }] });
  const code = codeOf(() => requireSource(requestFor(kernel, kind)));
  expect([kernel.events, kernel.written.size]).toEqual([[], 0]);
  return code;
}

describe('what is known of a source before anything is opened', () => {
  test.each([
    ['cookie', { driver: 'nvme' }, 'E_DEVICE_DRIVER'],
    ['legacy', { driver: null }, 'E_DEVICE_DRIVER'],
    ['legacy', { group: null, cdev: null }, 'E_NO_IOMMU'],
    ['cookie', {}, 'none'],
    ['sysfs', { driver: 'nvme' }, 'E_DEVICE_DRIVER'],
    ['sysfs', { driver: null }, 'none'],
    ['sysfs', {}, 'none'],
  ] as const)('%s of %j: %s', (kind, device, code) => {
    expect(required(kind, device)).toBe(code);
  });

  test('a driver that uses the BARs is named', () => {
    const kernel = new FakeVfioKernel({ devices: [{ address: A, driver: 'nvme' }] });
    expect(() => requireSource(requestFor(kernel, 'sysfs'))).toThrow(
      /^0000:01:00\.0 is bound to the driver nvme, which uses its BARs; expected no driver, or vfio-pci/,
    );
  });

  test('memory needs nothing', () => {
    expect(codeOf(() => requireSource({ kind: 'memory', size: MIB }))).toBe('none');
  });
});

test('the source memory is one BAR of as many bytes, in a file that ends with the scope', () => {
  const kernel = new FakeVfioKernel({ devices: [] });
  const scope = new Scope();
  const source = openSource(kernel.port, scope, { kind: 'memory', size: MIB });
  expect(source).toMatchObject({ kind: 'memory', pci: null, device: null });
  expect(source.regions).toEqual([{ bar: 2, kind: 'memory', size: MIB, mmappable: [{ offset: 0n, length: MIB }] }]);
  expect(source.map(window('wc'), PLACEMENT).length).toBe(2n * PAGE);
  expect(kernel.events).toEqual([`memfd wcvmm-bar of ${MIB}`, 'map memfd wcvmm-bar at 0x1000']);
  scope.close();
  expect([kernel.files.size, kernel.mapped.size]).toEqual([0, 0]);
});

test('a source that fails after its device was opened leaves it closed with its scope', () => {
  const kernel = new FakeVfioKernel({
    devices: [{ address: A, bars: BARS }],
    failing: { [REQUEST.feature]: 'EIO' },
  });
  const scope = new Scope();
  expect(() => openSource(kernel.port, scope, requestFor(kernel, 'cookie'))).toThrow(/EIO/);
  scope.close();
  expect(kernel.files.size).toBe(0);
});
