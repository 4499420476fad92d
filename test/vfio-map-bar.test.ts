import { afterEach, describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import type { Port } from '../vmm/sys/port.ts';
import { mapBar, openDevice } from '../vmm/vfio/map-bar.ts';
import type { BarRange } from '../vmm/vfio/map-bar.ts';
import { FakeVfioKernel, cookieOffset, ownOffset } from './fake-vfio.ts';
import { codeOf, saidBy, stubDevice, stubPort } from './stub-port.ts';

const RESOURCE = '/sys/bus/pci/devices/0000:01:00.0/resource2';
const PAGE = 4096n;
let scope = new Scope();
afterEach(() => {
  scope.close();
  scope = new Scope();
});

/** A device with a 4 MiB BAR 2, by sysfs. */
function device() {
  const stub = stubDevice(null, null);
  const stubbed = stubPort({ ...stub, nodes: { [RESOURCE]: 'ok', [`${RESOURCE}_wc`]: 'ok' } });
  return { ...stubbed, source: openDevice('01:00.0', { scope, source: 'sysfs', port: stubbed.port }) };
}

test('maps what was asked for, and the scope leaves nothing', () => {
  const { source, mapped, open } = device();
  expect(mapBar(source, { bar: 2, attribute: 'device' }).length).toBe(4n << 20n);
  const page = mapBar(source, { bar: 2, offset: PAGE, length: PAGE, attribute: 'wc' });
  expect(page.length).toBe(PAGE);
  expect(page.view().byteLength).toBe(Number(PAGE));
  expect([mapped.size, open.size]).toEqual([2, 2]);
  page.close();
  expect(mapped.size).toBe(1);
  scope.close();
  expect([mapped.size, open.size]).toEqual([0, 0]);
});

test.each<[string, BarRange, string]>([
  ['a BAR that no PCI device has', { bar: 6, attribute: 'device' }, 'E_MAP_REGION'],
  ['no such BAR', { bar: 4, attribute: 'device' }, 'E_MAP_REGION'],
  ['beyond the end', { bar: 2, offset: 4n << 20n, length: PAGE, attribute: 'device' }, 'E_MAP_RANGE'],
  ['over the end', { bar: 2, offset: (4n << 20n) - PAGE, length: 2n * PAGE, attribute: 'device' }, 'E_MAP_RANGE'],
  ['before the start', { bar: 2, offset: -PAGE, length: PAGE, attribute: 'device' }, 'E_MAP_RANGE'],
  ['nothing', { bar: 2, offset: PAGE, length: 0n, attribute: 'device' }, 'E_MAP_RANGE'],
  ['less than nothing', { bar: 2, offset: 2n * PAGE, length: -PAGE, attribute: 'device' }, 'E_MAP_RANGE'],
  ['no whole pages', { bar: 2, offset: 0n, length: 100n, attribute: 'device' }, 'E_MAP_ALIGNMENT'],
])('refuses %s', (_name, range, code) => {
  const { source, mapped } = device();
  expect(codeOf(() => mapBar(source, range))).toBe(code);
  expect(mapped.size).toBe(0);
});

function kernel(hasCookies = true): FakeVfioKernel {
  return new FakeVfioKernel({ devices: [{ address: '0000:01:00.0', bars: { 2: { size: 4n << 20n } } }], hasCookies });
}

describe('a device that VFIO has', () => {
  test('is mapped by cookies where nothing else is said, and by iommufd if there is one', () => {
    const { port, events } = kernel();
    const source = openDevice('01:00.0', { scope, port });
    expect([source.kind, source.device?.dma.kind]).toEqual(['cookie', 'ioas']);
    mapBar(source, { bar: 2, offset: PAGE, attribute: 'wc' });
    expect(events.at(-1)).toBe(`map /dev/vfio/devices/vfio0 at 0x${(cookieOffset(2, 2) + PAGE).toString(16)}`);
    expect(codeOf(() => openDevice('01:00.0', { scope, port: kernel(false).port }))).toBe('E_COOKIE_UNSUPPORTED');
    expect(saidBy(() => openDevice('01:00.0', { scope, port: kernel(false).port }))).toMatch(/as a chosen attribute: /);
  });

  test('is mapped as it is asked for', () => {
    const { port, events } = kernel(false);
    const source = openDevice('01:00.0', { scope, port, source: 'legacy', iommu: 'container' });
    expect([source.kind, source.device?.dma.kind]).toEqual(['legacy', 'container']);
    expect(mapBar(source, { bar: 2, offset: PAGE, attribute: 'default' }).length).toBe((4n << 20n) - PAGE);
    expect(events.at(-1)).toBe(`map device 0000:01:00.0 at 0x${(ownOffset(2) + PAGE).toString(16)}`);
  });
});

test('what cannot be mapped is said with its bytes', () => {
  const { source } = device();
  const said = (range: Omit<BarRange, 'attribute'>): string =>
    saidBy(() => mapBar(source, { ...range, attribute: 'device' }));
  expect(said({ bar: 2, offset: PAGE, length: 0n })).toBe(
    'E_MAP_RANGE: bar2:4096-4096 is no range of bytes; expected at least one page, from offset 0 on.',
  );
  expect(said({ bar: 2, offset: -PAGE })).toMatch(/^E_MAP_RANGE: bar2:-4096-4194304 is no range/);
  expect(said({ bar: 2, length: 100n })).toMatch(/^E_MAP_ALIGNMENT: the map bar2:0-100 does not/);
  // Whatever was asked of it.
  expect(said({ bar: 4, offset: PAGE, length: 0n })).toMatch(/^E_MAP_REGION: BAR 4 of bar4:4096-4096 is absent/);
});

test('a range of the size of its alignment lies so that a block can cover it', () => {
  const { port } = kernel();
  // No place is aligned by itself.
  const mmap: Port['mmap'] = (request) => port.mmap(request) + (request.address === undefined ? PAGE : 0n);
  const source = openDevice('01:00.0', { scope, port: { ...port, mmap } });
  const block = 2n << 20n;
  const { address } = mapBar(source, { bar: 2, offset: block, length: block, attribute: 'device' });
  expect(address % block).toBe(0n);
});
