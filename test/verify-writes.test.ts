import { describe, expect, test } from 'vitest';
import { bench } from '../tool/bench/bench.ts';
import { requireHarmless } from '../tool/verify/writes.ts';
import { x86 } from '../vmm/kvm/arch/x86.ts';
import { findDevice } from '../vmm/vfio/device.ts';
import { targetOf } from '../vmm/vfio/open-windows.ts';
import type { Target, WindowChoice } from '../vmm/vfio/open-windows.ts';
import { codeOf, stubDevice, stubPort } from './stub-port.ts';
import type { Stub } from './stub-port.ts';

const ADDRESS = '0000:01:00.0';
const VENDOR = `/sys/bus/pci/devices/${ADDRESS}/vendor`;
const CHOICE: WindowChoice = { source: 'cookie', device: ADDRESS, iommu: 'auto', maps: [], enforce: false };

/** A device with the ivshmem's BARs, of that vendor or of another. */
function deviceOf(vendor: string): Stub {
  const device = stubDevice('vfio-pci', '5');
  return { ...device, texts: { ...device.texts, [VENDOR]: `${vendor}\n` } };
}

function target(vendor: string, bar: number): Target {
  return { pci: findDevice(stubPort(deviceOf(vendor)).port, ADDRESS), bars: [bar] };
}

describe('stores that measure', () => {
  test('to a BAR that is not known as plain memory need --allow-writes', () => {
    expect(() => requireHarmless(target('0x1d0f', 2), false)).toThrow(/--allow-writes/);
    expect(codeOf(() => requireHarmless(target('0x1d0f', 2), true))).toBe('none');
    expect(codeOf(() => requireHarmless(target('0x1af4', 2), false))).toBe('none');
    expect(codeOf(() => requireHarmless({ pci: null, bars: [] }, false))).toBe('none');
  });

  test('to another BAR of a known device need it too', () => {
    expect(codeOf(() => requireHarmless(target('0x1af4', 0), false))).toBe('E_DEVICE_WRITES');
  });
});

function bars(choice: Partial<WindowChoice>): readonly number[] {
  return targetOf(stubPort(deviceOf('0x1af4')).port, { ...CHOICE, ...choice }).bars;
}

describe('what bench would write to is known before anything is opened', () => {
  test('the BARs that are named, else the largest', () => {
    expect(bars({})).toEqual([2]);
    expect(bars({ maps: ['bar2:0-64K=wc', 'bar2:64K-=device'] })).toEqual([2, 2]);
    expect(bars({ source: 'memory', device: null })).toEqual([]);
  });

  test('a BAR that is absent is not written to: opening says that it is', () => {
    expect(bars({ maps: ['bar5=wc'] })).toEqual([]);
  });

  test.each([
    ['no device', { device: null }, 'E_USAGE'],
    ['a device that is not there', { device: '0000:7f:00.0' }, 'E_DEVICE_ABSENT'],
    ['a map that is none', { maps: ['two'] }, 'E_MAP_SYNTAX'],
  ])('%s is %s', (_name, choice, code) => {
    expect(codeOf(() => bars(choice))).toBe(code);
  });

  test.each(['cookie', 'sysfs'] as const)('another driver is told first, for --source %s', (source) => {
    const { port } = stubPort(stubDevice('nvme', '5'));
    expect(codeOf(() => targetOf(port, { ...CHOICE, source }))).toBe('E_DEVICE_DRIVER');
  });

  test('bench refuses without having touched the device', async () => {
    const touched: string[] = [];
    const { port } = stubPort({
      ...deviceOf('0x1d0f'),
      nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' },
    });
    const watched = {
      ...port,
      open: (path: string, flags: number) => (touched.push(path), port.open(path, flags)),
      writeText: (path: string) => void touched.push(path),
    };
    const request = {
      choice: CHOICE,
      image: { entry: 0n, segments: [] },
      timeoutMs: 1000,
      allowWrites: false,
    };
    const refused = bench(watched, x86, { ...request, runs: 3 });
    await expect(refused).rejects.toMatchObject({ code: 'E_DEVICE_WRITES' });
    expect(touched).toEqual([]);
  });
});
