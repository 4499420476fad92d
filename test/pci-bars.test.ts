import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assignBars } from '../vmm/devices/pci/placement.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { HIGH, LOW, PAGE, configWith, fakeHost, fdOf, nic, nvme } from './fake-pci.ts';
import type { FakeHost } from './fake-pci.ts';
import type { Dma } from '../vmm/vfio/dma.ts';
import { codeOf } from './stub-port.ts';

const [FIRST, SECOND] = [8, 16];

/** Which byte of a mapping stands behind each page that has a memslot. */
function pages({ kernel }: FakeHost): Map<bigint, bigint> {
  const found = new Map<bigint, bigint>();
  for (const { gpa, length, hva } of kernel.slots.values()) {
    for (let at = 0n; at < length; at += BigInt(PAGE)) {
      expect(found.has(gpa + at)).toBe(false);
      found.set(gpa + at, hva + at);
    }
  }
  return found;
}

interface Bar {
  readonly devfn: number;
  readonly at: number;
  readonly is64: boolean;
  readonly size: number;
  /** Pages of it that are emulated. */
  readonly emulated: readonly number[];
}

/** Of a NIC and an NVMe controller, in the order in which they are asked. */
const BARS: readonly Bar[] = [
  { devfn: FIRST, at: 0x10, is64: true, size: 0x10000, emulated: [] },
  { devfn: FIRST, at: 0x18, is64: false, size: 0x8000, emulated: [] },
  { devfn: FIRST, at: 0x20, is64: true, size: 0x1000, emulated: [0] },
  { devfn: SECOND, at: 0x10, is64: true, size: 0x4000, emulated: [2, 3] },
];

function inWindow(gpa: bigint): boolean {
  return [LOW, HIGH].some(({ base, size }) => gpa >= BigInt(base) && gpa < BigInt(base + size));
}

/** The map of addresses that the registers say, page by page. */
function expectedPages(pci: FakeHost): Map<bigint, bigint> {
  const taken = new Set<bigint>();
  const expected = new Map<bigint, bigint>();
  const bars = pci.host.options.functions.flatMap((one) => one.bars);
  for (const [index, { devfn, at, is64, size, emulated }] of BARS.entries()) {
    const [power] = devfn === FIRST ? [0x54] : [0x64];
    const decodes = (pci.readConfig(devfn, 4, 2) & 2n) !== 0n && (pci.readConfig(devfn, power ?? 0, 1) & 3n) === 0n;
    const low = pci.readConfig(devfn, at, 4) & 0xffff_fff0n;
    const base = low | (is64 ? pci.readConfig(devfn, at + 4, 4) << 32n : 0n);
    const all = Array.from({ length: size / PAGE }, (_, page) => base + BigInt(page * PAGE));
    if (!decodes || !all.every((gpa) => inWindow(gpa) && !taken.has(gpa))) continue;
    for (const [page, gpa] of all.entries()) {
      taken.add(gpa);
      if (!emulated.includes(page)) expected.set(gpa, (bars[index]?.hva ?? 0n) + BigInt(page * PAGE));
    }
  }
  return expected;
}

/** Each device reaches the other's BARs, where those are. */
function expectedDma({ host }: FakeHost): Map<string, string> {
  const found = new Map<string, string>();
  for (const [number, { bars, placed }] of host.options.functions.entries()) {
    for (const [index, base] of new Float64Array(placed).entries()) {
      const what = `of ${fdOf(number - 1)} bar ${bars[index]?.bar}`;
      if (base >= 0) found.set(`ioas ${number === 1 ? 2 : 1} 0x${base.toString(16)}`, what);
    }
  }
  return found;
}

function ioas(number: number): Dma {
  return { kind: 'ioas', iommufd: 90, ioas: number };
}

/** Addresses that meet, overlap in parts, leave the windows, or are RAM's. */
const places = fc.constantFrom(
  0n,
  0x1000_0000n,
  0x1000_4000n,
  0x1000_8000n,
  0x1001_0000n,
  0x1fff_0000n,
  0x4000_0000n,
  0xffff_ffffn,
  0x80_0000_0000n,
  0x80_0000_8000n,
  0x8f_ffff_c000n,
  0xffff_ffff_ffff_ffffn,
);
const steps = fc.array(
  fc.oneof(
    fc.record({ bar: fc.constantFrom(...BARS), address: places, bytes: fc.constantFrom(1, 2, 4, 8) }),
    fc.record({ devfn: fc.constantFrom(FIRST, SECOND), command: fc.constantFrom(0, 2, 6) }),
    fc.record({ devfn: fc.constantFrom(FIRST, SECOND), sleep: fc.constantFrom(0, 3) }),
    fc.record({ reset: fc.constantFrom(FIRST, SECOND) }),
  ),
  { maxLength: 40 },
);

describe("a guest's BARs", () => {
  test('have memslots where the registers say, at most one a byte at every moment, and none while decoding is off', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const pci = fakeHost([nic({ dma: ioas(1) }), nvme({ dma: ioas(2) })]);
        for (const step of list) {
          if ('bar' in step) {
            const { bar, address, bytes } = step;
            for (let at = 0; at < (bar.is64 ? 8 : 4); at += bytes) {
              pci.writeConfig(bar.devfn, bar.at + at, bytes, BigInt.asUintN(8 * bytes, address >> BigInt(8 * at)));
            }
          } else if ('command' in step) pci.writeConfig(step.devfn, 4, 2, step.command);
          else if ('sleep' in step) pci.writeConfig(step.devfn, step.devfn === FIRST ? 0x54 : 0x64, 1, step.sleep);
          else pci.writeConfig(step.reset, step.reset === FIRST ? 0xa8 : 0x88, 2, 0x8000);
          expect(pages(pci)).toEqual(expectedPages(pci));
          expect(pci.kernel.dma).toEqual(expectedDma(pci));
        }
        pci.scope.close();
        expect([pci.kernel.slots.size, pci.kernel.dma.size, pci.kernel.dmaBufs.size]).toEqual([0, 0, 0]);
        expect(pci.kernel.violations).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['on', 2],
    ['off', 0],
  ])('swap, as Linux does it, with memory decoding %s meanwhile', (_name, command) => {
    const device = nvme({
      config: configWith({
        bars: [
          [0, 0],
          [1, 0],
        ],
        pin: 0,
      }),
      bars: { 0: 0x4000, 1: 0x4000 },
    });
    const pci = fakeHost([device]);
    pci.writeConfig(FIRST, 4, 2, 2);
    const before = pages(pci);
    const [a, b] = [pci.readConfig(FIRST, 0x10, 4), pci.readConfig(FIRST, 0x14, 4)];
    pci.writeConfig(FIRST, 4, 2, command);
    pci.writeConfig(FIRST, 0x10, 4, b);
    // Both are at one address: one of them answers, and nothing fails.
    expect(pages(pci).size).toBe(command === 0 ? 0 : 4);
    pci.writeConfig(FIRST, 0x14, 4, a);
    pci.writeConfig(FIRST, 4, 2, 2);
    const swapped = new Map([...before].map(([gpa, hva]) => [gpa < b === a < b ? gpa + b - a : gpa + a - b, hva]));
    expect(pages(pci)).toEqual(swapped);
    expect(pci.kernel.violations).toEqual([]);
  });

  test('begin at places of their own, prefetchable 64-bit ones high', () => {
    const pci = fakeHost([nic(), nvme()]);
    for (const devfn of [FIRST, SECOND]) pci.writeConfig(devfn, 4, 2, 2);
    expect(pages(pci).size).toBe(16 + 8 + 0 + 2);
    expect([0x14, 0x24].map((at) => pci.readConfig(FIRST, at, 4))).toEqual([0x80n, 0x80n]);
    expect([pci.readConfig(SECOND, 0x14, 4), pci.readConfig(SECOND, 0x10, 4) >> 28n]).toEqual([0n, 1n]);
  });

  test('are where they were at power-on after the guest reboots', () => {
    const pci = fakeHost([nic()]);
    pci.writeConfig(FIRST, 4, 2, 2);
    const before = pages(pci);
    pci.writeConfig(FIRST, 0x18, 4, 0x1800_0000);
    pci.host.reset();
    expect(pages(pci).size).toBe(0);
    pci.writeConfig(FIRST, 4, 2, 2);
    expect(pages(pci)).toEqual(before);
  });

  test('that KVM refuses a memslot for still work, by exits', () => {
    const pci = fakeHost([nic()]);
    pci.kernel.slots.set(999, { gpa: 0x1800_0000n, length: 0x1000n, hva: 0n });
    pci.writeConfig(FIRST, 0x18, 4, 0x1800_0000);
    pci.writeConfig(FIRST, 4, 2, 2);
    pci.writeMemory(0x1800_0004, 4, 0x1234_5678);
    expect(pci.readMemory(0x1800_0004, 4)).toBe(0x1234_5678n);
    pci.kernel.slots.delete(999);
    pci.scope.close();
    expect(pci.kernel.slots.size).toBe(0);
  });
});

describe('the attributes of --map', () => {
  const maps = ['bar0:0-16K=device', 'bar0:16K-48K=wc'];

  test('are ranges of the BAR, follow it, and what they leave is default', () => {
    const pci = fakeHost([nic({ maps })]);
    const bar = pci.host.options.functions[1]?.bars[0];
    expect(bar?.slots.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 0x4000],
      [0x4000, 0x8000],
      [0xc000, 0x4000],
    ]);
    pci.writeConfig(FIRST, 4, 2, 2);
    pci.writeConfig(FIRST, 0x10, 8, 0x80_4000_0000n);
    const found = [...pci.kernel.slots.values()].filter(
      ({ hva }) => hva >= (bar?.hva ?? 0n) && hva < (bar?.hva ?? 0n) + 0x10000n,
    );
    expect(found.map(({ gpa }) => gpa)).toEqual([0x80_4000_0000n, 0x80_4000_4000n, 0x80_4000_c000n]);
    // Blocks of stage 2 need host and guest addresses that agree in the block's size.
    for (const { gpa, hva } of found) expect((gpa - hva) % 0x10000n).toBe(0n);
  });

  test('that are enforced have no memslot for device, and the accesses are made on the mapping', () => {
    const pci = fakeHost([nic({ maps })], { enforce: true });
    pci.writeConfig(FIRST, 4, 2, 2);
    const base = Number(pci.readConfig(FIRST, 0x10, 8) & ~0xfn);
    expect([...pci.kernel.slots.values()].some(({ gpa }) => gpa === BigInt(base))).toBe(false);
    pci.writeMemory(base + 8, 8, 0x0123_4567_89ab_cdefn);
    expect(pci.readMemory(base + 8, 8)).toBe(0x0123_4567_89ab_cdefn);
    expect(pci.host.exits()).toEqual([2]);
    const bar = pci.host.options.functions[1]?.bars[0];
    expect(new BigUint64Array(pci.kernel.memory.get(bar?.hva ?? 0n) ?? new ArrayBuffer(0))[1]).toBe(
      0x0123_4567_89ab_cdefn,
    );
  });
});

describe("accesses to the bridge's windows that no memslot takes", () => {
  test('read all ones where nothing is, whatever their width and place', () => {
    const pci = fakeHost([nvme()]);
    expect(pci.readMemory(LOW.base + LOW.size - 8, 8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(pci.readMemory(HIGH.base + 3, 5)).toBe(0xff_ffff_ffffn);
    pci.writeMemory(HIGH.base + 3, 5, 1);
    // Memory decoding is off.
    expect(pci.readMemory(LOW.base, 4)).toBe(0xffff_ffffn);
  });

  test('of a BAR that VFIO does not map go through its file, and one that fails reads as all ones', () => {
    const pci = fakeHost([
      nvme({ mappable: false, config: configWith({ bars: [[0, 4]], pin: 0 }), bars: { 0: 0x100 } }),
    ]);
    pci.writeConfig(FIRST, 4, 2, 2);
    expect(pci.kernel.slots.size).toBe(0);
    const base = Number(pci.readConfig(FIRST, 0x10, 8) & ~0xfn);
    expect(pci.readMemory(base + 4, 4)).toBe(0x5a5a_5a5an);
    expect(pci.readMemory(base + 0xfe, 4)).toBe(0xffff_5a5an);
    pci.kernel.states.get(fdOf(0))?.device.config.fill(0);
    pci.writeMemory(base, 4, 1);
  });
});

describe("another device's DMA to a BAR", () => {
  const containers = [70, 71].map((container): Dma => ({ kind: 'container', container }));

  test("goes by the host's mapping, window by window, where there are containers", () => {
    const maps = ['bar0:0-16K=device'];
    const [first, second] = containers;
    const pci = fakeHost([nic({ maps, ...(first && { dma: first }) }), nvme({ ...(second && { dma: second }) })]);
    pci.writeConfig(FIRST, 4, 2, 2);
    const [bar] = pci.host.options.functions[1]?.bars ?? [];
    const base = pci.readConfig(FIRST, 0x10, 8) & ~0xfn;
    const hva = (offset: bigint): string => `of hva 0x${((bar?.hva ?? 0n) + offset).toString(16)}`;
    expect(pci.kernel.dma.get(`container 71 0x${base.toString(16)}`)).toBe(hva(0n));
    expect(pci.kernel.dma.get(`container 71 0x${(base + 0x4000n).toString(16)}`)).toBe(hva(0x4000n));
    expect([...pci.kernel.dma.keys()].some((key) => key.startsWith('container 70'))).toBe(false);
    pci.writeConfig(FIRST, 4, 2, 0);
    expect(pci.kernel.dma.size).toBe(0);
    expect(pci.kernel.violations).toEqual([]);
  });

  test.each([
    ['the kernel exports no DMA-bufs', false, true],
    ['a device may start no transfers', true, false],
  ])('is not there where %s, and nothing else is missing', (_name, exports, mayTransfer) => {
    const pci = fakeHost([nic({ dma: ioas(1) }), nvme({ dma: ioas(2), mayTransfer })], {
      port: (real) => ({
        ...real,
        ioctl(fd, request, argument) {
          if (request === 0x3b75 && !exports) throw new SysError('VFIO_DEVICE_FEATURE', ERRNO.ENOTTY);
          return real.ioctl(fd, request, argument);
        },
      }),
    });
    pci.writeConfig(FIRST, 4, 2, 2);
    expect(pci.kernel.dma.size).toBe(0);
    expect(pages(pci).size).toBe(24);
    pci.scope.close();
    expect(pci.kernel.violations).toEqual([]);
  });
});

describe('assignBars', () => {
  test.each([
    [
      [{ name: 'BAR 1 of 0000:03:00.0', size: 512 << 20, is64Bit: false, prefetchable: false }],
      /^BAR 1 of 0000:03:00.0 has 512M, and there is no room left for it in the guest's PCI windows of 256M\. Pass fewer devices/,
    ],
    [
      ['BAR 2 of 0000:03:00.0', 'BAR 2 of 0000:04:00.0'].map((name) => ({
        name,
        size: 2 ** 36,
        is64Bit: true,
        prefetchable: true,
      })),
      /^BAR 2 of 0000:04:00.0 has 64G, .* windows of 256M and 64G/,
    ],
  ])('says which BAR has no room, and what room there is', (bars, sentence) => {
    expect(() => assignBars(bars, { low: LOW, high: HIGH })).toThrow(sentence);
  });

  test('gives each BAR a place of its own that is aligned to its size, or refuses', () => {
    const bars = fc.array(
      fc.record({ power: fc.integer({ min: 4, max: 30 }), is64Bit: fc.boolean(), prefetchable: fc.boolean() }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(bars, (list) => {
        const named = list.map((bar, index) => ({ ...bar, name: `BAR ${index}`, size: 2 ** bar.power }));
        const low = named.filter((one) => !(one.is64Bit && one.prefetchable)).reduce((sum, { size }) => sum + size, 0);
        // What no order of them could make fit.
        const code = codeOf(() => assignBars(named, { low: LOW, high: HIGH }));
        expect(['none', low > LOW.size ? 'E_PASSTHROUGH' : 'none']).toContain(code);
        fc.pre(code === 'none');
        const addresses = assignBars(named, { low: LOW, high: HIGH });
        const placed = named.map(({ size, is64Bit }, index) => ({ size, is64Bit, address: addresses[index] ?? -1 }));
        placed.sort((a, b) => a.address - b.address);
        for (const [index, { size, is64Bit, address }] of placed.entries()) {
          const window = address >= HIGH.base ? HIGH : LOW;
          expect(address % size).toBe(0);
          expect(address).toBeGreaterThanOrEqual(window.base);
          expect(address + size).toBeLessThanOrEqual(placed[index + 1]?.address ?? window.base + window.size);
          expect(is64Bit || window === LOW).toBe(true);
        }
      }),
    );
  });
});
