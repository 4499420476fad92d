import { afterEach, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { mapBar, openDevice } from '../vmm/vfio/map-bar.ts';
import type { BarRange } from '../vmm/vfio/map-bar.ts';
import { codeOf, stubDevice, stubPort } from './stub-port.ts';

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
