import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { writeFdt } from '../vmm/boot/fdt.ts';
import { createDevice as createLegacy, legacyPorts } from '../vmm/devices/legacy-x86.ts';
import { createDevice as createPower, powerPorts } from '../vmm/devices/power-x86.ts';
import { devicetree } from '../vmm/machines/devicetree-arm64.ts';
import { LINUX_MAP, linuxMap } from '../vmm/machines/linux-map.ts';
import type { Device } from '../vmm/bus/device.ts';
import { ramAround } from '../vmm/memory/ranges.ts';
import { stubPort } from './stub-port.ts';

const hasDtc = spawnSync('dtc', ['--version']).status === 0;
const context = { port: stubPort({}).port, isStopping: () => false };

describe.skipIf(!hasDtc)(
  `the devicetree of an arm64 machine${hasDtc ? '' : ' (skipped: no dtc; it is in the Debian package device-tree-compiler)'}`,
  () => {
    const parts = {
      commandLine: 'console=ttyAMA0 quiet',
      cpus: 16,
      ram: [
        { gpa: 0x4000_0000n, length: 0x8000_0000n },
        { gpa: 0x1_0000_0000n, length: 0x10_0000_0000n },
      ],
      initrd: { gpa: 0x4800_0000n, length: 0x12_3456n },
      serialSpi: 1,
      pci: LINUX_MAP.arm64.pci,
    };
    const { stdout, stderr } = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts'], { input: writeFdt(devicetree(parts)) });
    const source = stdout.toString();

    test('is one that dtc has nothing to say against', () => {
      const said = stderr
        .toString()
        .split('\n')
        .filter((line) => line !== '');
      expect(said).toEqual([]);
    });

    test('says what there is', () => {
      expect(source).toContain('bootargs = "console=ttyAMA0 quiet";');
      expect(source).toContain('linux,initrd-end = <0x00 0x48123456>;');
      expect(source).toContain('reg = <0x01 0x00 0x10 0x00>;');
      expect(source.match(/device_type = "cpu"/g)).toHaveLength(16);
      expect(source).toContain('reg = <0x00 0x8000000 0x00 0x10000 0x00 0x80a0000 0x00 0x200000>;');
    });
  },
);

const GIB = 1n << 30n;
const [LITTLE, MUCH] = [
  { ramLength: GIB, barBytes: 8n * GIB },
  { ramLength: 2048n * GIB, barBytes: 8n * GIB },
];

test.each(
  (['arm64', 'x86'] as const).flatMap((arch) => [
    { arch, what: 'usual', map: LINUX_MAP[arch] },
    { arch, what: 'large', map: linuxMap(arch, { ...MUCH, bits: 48 }) },
  ]),
)('on $arch nothing of the $what map overlaps', ({ map: { ram, pci, bits } }) => {
  const windows = [pci.ecam, pci.memory32, pci.memory64].toSorted((a, b) => (a.gpa < b.gpa ? -1 : 1));
  for (const [index, { gpa, length }] of windows.entries()) {
    expect(gpa + length <= (windows[index + 1]?.gpa ?? 1n << BigInt(bits))).toBe(true);
    const isInHole = ram.holes.some((hole) => gpa >= hole.gpa && gpa + length <= hole.gpa + hole.length);
    expect(isInHole || gpa + length <= ram.from || gpa >= ram.limit).toBe(true);
  }
  expect(pci.ecam.length).toBe(BigInt(pci.buses) << 20n);
});

describe.each(['arm64', 'x86'] as const)('the map of an %s machine', (arch) => {
  test('is the usual one up to the RAM and the BARs that it has room for, and where the CPU has no more bits', () => {
    const room = 255n * GIB;
    for (const space of [LITTLE, { ...LITTLE, ramLength: room }, { ...LITTLE, barBytes: 128n * GIB }])
      expect(linuxMap(arch, { ...space, bits: 48 })).toBe(LINUX_MAP[arch]);
    expect(linuxMap(arch, { ...MUCH, bits: 39 })).toBe(LINUX_MAP[arch]);
  });

  test('has room for far more RAM, and for larger BARs, halfway up to what the CPU has', () => {
    for (const space of [MUCH, { ...LITTLE, ramLength: 256n * GIB }, { ...LITTLE, barBytes: 1024n * GIB }]) {
      const { ram, pci, bits } = linuxMap(arch, { ...space, bits: 44 });
      expect([bits, ram.limit, pci.memory64]).toEqual([44, 8192n * GIB, { gpa: 8192n * GIB, length: 8192n * GIB }]);
      expect([ram.from, ram.holes, pci.memory32]).toEqual([
        LINUX_MAP[arch].ram.from,
        LINUX_MAP[arch].ram.holes,
        LINUX_MAP[arch].pci.memory32,
      ]);
    }
    // Beyond what Linux maps with four levels of page tables, nothing lies.
    expect(linuxMap(arch, { ...MUCH, bits: 52 }).bits).toBe(46);
  });

  test('of much RAM has it all, around its holes', () => {
    const { ram } = linuxMap(arch, { ...MUCH, bits: 48 });
    const ranges = ramAround(MUCH.ramLength, { ...ram, step: 2n << 20n }) ?? [];
    expect(ranges.reduce((sum, { length }) => sum + length, 0n)).toBe(MUCH.ramLength);
    expect(ranges).toHaveLength(arch === 'arm64' ? 1 : 2);
  });
});

function stored(device: Device, offset: number, value: number): unknown {
  const data = new DataView(new ArrayBuffer(1));
  data.setUint8(0, value);
  return device.write?.(offset, 1, data);
}

test('an x86 guest powers off by ACPI’s sleep control register and resets by its reset register, and by nothing near them', () => {
  const device = createPower(context, powerPorts(5).options);
  expect(stored(device, 0, 0x34)).toEqual({ kind: 'system-event', event: 'shutdown' });
  expect(stored(device, 2, 1)).toEqual({ kind: 'system-event', event: 'reset' });
  expect([stored(device, 0, 0x14), stored(device, 0, 0x30), stored(device, 1, 0x34), stored(device, 2, 0)]).toEqual([
    null,
    null,
    null,
    null,
  ]);
});

test('the keyboard controller resets an x86 guest, and nothing at a PC’s old ports looks like a device that counts', () => {
  const devices = legacyPorts().map(({ base, size, options }) => ({
    base,
    size,
    device: createLegacy(context, options),
  }));
  const keyboard = devices.find(({ base, size }) => 0x64 >= base && 0x64 < base + size);
  expect(keyboard && stored(keyboard.device, 0x64 - keyboard.base, 0xfe)).toEqual({
    kind: 'system-event',
    event: 'reset',
  });
  expect(keyboard && stored(keyboard.device, 0, 0xfe)).toBeNull();
  for (const { device } of devices) {
    const data = new DataView(new ArrayBuffer(1));
    data.setUint8(0, 0xff);
    device.read?.(0, 1, data);
    expect(data.getUint8(0)).toBe(0);
  }
});
