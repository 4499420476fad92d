import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { splitMap } from '../tool/cli/commands/device-map.ts';
import { deviceRequests } from '../tool/cli/commands/passed-devices.ts';
import { openGuestDevices } from '../vmm/vfio/guest-devices.ts';
import { codeOf, stubDevice, stubPort } from './stub-port.ts';

const [A, B] = ['0000:01:00.0', '0000:02:00.0'];

describe("a Linux guest's devices on the command line", () => {
  test('have the maps that name them, or all of them where there is one', () => {
    const [one] = deviceRequests([A], ['bar2:0-64K=device', 'bar2:64K-=wc']);
    expect(one?.maps.map(({ text }) => text)).toEqual(['bar2:0-64K=device', 'bar2:64K-=wc']);
    const two = deviceRequests([A, B], [`${B}/bar0=wc`, '1:00.0/bar2=device']);
    expect(two.map(({ address, maps }) => [address, maps.map(({ text }) => text)])).toEqual([
      [A, ['bar2=device']],
      [B, ['bar0=wc']],
    ]);
    expect(deviceRequests([], [])).toEqual([]);
  });

  test.each([
    [[], ['bar2=wc'], 'expected --device'],
    [[A, B], ['bar2=wc'], `as in --map ${A}/bar2=wc`],
    [[A], [`${B}/bar2=wc`], `${B}, which is no --device`],
  ])('%j with maps %j are refused', (devices, maps, why) => {
    expect(() => deviceRequests(devices, maps)).toThrow(why);
    expect(codeOf(() => deviceRequests(devices, maps))).toBe('E_USAGE');
  });

  test('have maps that are read at once', () => {
    expect(splitMap(`${A}/bar2:0-64K=wc`)).toMatchObject({ device: A, map: { bar: 2, attribute: 'wc' } });
    expect(codeOf(() => splitMap(`${A}/bar9=wc`))).toBe('E_MAP_SYNTAX');
    expect(codeOf(() => splitMap('bar2=cached'))).toBe('E_CACHEABLE');
  });

  test('are each there once, however they are written', () => {
    const { port } = stubPort(stubDevice('vfio-pci', '5'));
    const requests = deviceRequests(['0000:01:00.0', '1:00.0'], []);
    expect(codeOf(() => openGuestDevices(port, new Scope(), requests, 'auto'))).toBe('E_USAGE');
  });
});
