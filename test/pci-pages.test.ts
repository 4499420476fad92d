/** BARs on hosts with larger pages than a guest's: arm64 has 16 and 64 KiB. */
import { describe, expect, test } from 'vitest';
import { configWith, fakeHost, msixCapability, nvme } from './fake-pci.ts';
import type { FakeDevice, FakeHost } from './fake-pci.ts';
import { codeOf } from './stub-port.ts';

const DEVFN = 8;
const KIB = 1024;

/** One BAR of 256 KiB, with its MSI-X table where `table` says and the pending bits 2 KiB behind. */
function device(table: number, extra: Partial<FakeDevice> = {}): FakeDevice {
  return {
    config: configWith({
      bars: [[0, 0xc]],
      capabilities: [[0x40, msixCapability(10, [0, table], [0, table + 2 * KIB])]],
    }),
    bars: { 0: 256 * KIB },
    irqs: 10,
    ...extra,
  };
}

/** The BAR's address, once its memory is decoded. */
function decoded(pci: FakeHost): number {
  pci.writeConfig(DEVFN, 4, 2, 2);
  return Number(pci.readConfig(DEVFN, 0x10, 8) & ~0xfn);
}

/** What of the BAR has memslots: offset and length. */
function slots(pci: FakeHost, base: number): readonly (readonly [number, number])[] {
  return [...pci.kernel.slots.values()]
    .map(({ gpa, length }) => [Number(gpa) - base, Number(length)] as const)
    .toSorted(([a], [b]) => a - b);
}

describe.each([
  ['4 KiB', 4 * KIB],
  ['16 KiB', 16 * KIB],
  ['64 KiB', 64 * KIB],
])('on a host with pages of %s', (_name, pageSize) => {
  test.each([0, 70 * KIB, 128 * KIB, 250 * KIB])(
    'an MSI-X table at byte %i costs the pages that it and its pending bits are on, and no more',
    (table) => {
      const pci = fakeHost([device(table)], { pageSize });
      const base = decoded(pci);
      const first = table - (table % pageSize);
      const end = Math.ceil((table + 2 * KIB + 8) / pageSize) * pageSize;
      const wanted = [
        [0, first],
        [end, 256 * KIB - end],
      ].filter(([, length = 0]) => length > 0);
      expect(slots(pci, base)).toEqual(wanted);
      // Entries are the VMM's; what else is on their pages is the device's.
      pci.writeMemory(base + table + 8, 4, 0x1234);
      pci.writeMemory(base + table + 512, 4, 0x5678);
      expect([pci.readMemory(base + table + 8, 4), pci.readMemory(base + table + 512, 4)]).toEqual([0x1234n, 0x5678n]);
      const real = new Uint32Array(
        pci.kernel.memory.get(pci.host.options.functions[1]?.bars[0]?.hva ?? 0n) ?? new ArrayBuffer(0),
      );
      expect([real[table / 4 + 2], real[table / 4 + 128]]).toEqual([0, 0x5678]);
      pci.scope.close();
      expect(pci.kernel.violations).toEqual([]);
    },
  );

  test('a BAR has its memslots where a guest with pages of 4 KiB puts it', () => {
    const pci = fakeHost([device(128 * KIB)], { pageSize });
    const before = slots(pci, decoded(pci)).length;
    expect(before).toBe(2);
    // 256 KiB are aligned to themselves by a guest that follows PCI's rules; the bits below are not the guest's to set.
    pci.writeConfig(DEVFN, 0x10, 8, 0x80_4000_1000n);
    expect(pci.readConfig(DEVFN, 0x10, 8) & ~0xfn).toBe(0x80_4000_0000n);
    expect(slots(pci, 0x80_4000_0000)).toHaveLength(2);
  });

  test('a map must be whole pages of the host', () => {
    const half = (pageSize * 3) / 2 / KIB;
    const refused = codeOf(() => fakeHost([device(0, { maps: [`bar0:0-${half}K=wc`] })], { pageSize }));
    expect(refused).toBe('E_MAP_ALIGNMENT');
    const whole = (pageSize * 2) / KIB;
    const pci = fakeHost([device(250 * KIB, { maps: [`bar0:0-${whole}K=wc`] })], { pageSize });
    expect(slots(pci, decoded(pci))[0]).toEqual([0, 2 * pageSize]);
  });
});

/** As QEMU's NVMe controller: 16 KiB, the table at 8 KiB, the pending bits at 12 KiB. */
test.each([
  ['4 KiB', 4 * KIB, [[0, 8 * KIB]]],
  ['16 KiB', 16 * KIB, []],
  ['64 KiB', 64 * KIB, []],
])(
  'a BAR of 16 KiB on a host with pages of %s works, by exits where it shares its only page',
  (_name, pageSize, wanted) => {
    const pci = fakeHost([nvme()], { pageSize });
    const base = decoded(pci);
    expect(slots(pci, base)).toEqual(wanted);
    pci.writeMemory(base + 0x2000, 4, 0xfee0_0000);
    expect(pci.readMemory(base + 0x2000, 4)).toBe(0xfee0_0000n);
    // Of a page that the host cannot map whole, by VFIO's file.
    expect(pci.readMemory(base + 0x1000, 4)).toBe(pageSize > 16 * KIB ? 0x5a5a_5a5an : 0n);
  },
);

test('a small BAR that a guest puts between two pages of the host has no memslot, and works', () => {
  const small = nvme({ config: configWith({ bars: [[0, 4]], pin: 0 }), bars: { 0: 16 * KIB } });
  const pci = fakeHost([small], { pageSize: 16 * KIB });
  const base = decoded(pci);
  expect(slots(pci, base)).toEqual([[0, 16 * KIB]]);
  const on64 = fakeHost([small], { pageSize: 64 * KIB });
  const there = decoded(on64);
  on64.writeConfig(DEVFN, 0x10, 4, there + 16 * KIB);
  expect(slots(on64, there)).toEqual([]);
  expect(on64.readMemory(there + 16 * KIB + 8, 4)).toBe(0x5a5a_5a5an);
  expect(on64.kernel.violations).toEqual([]);
});
