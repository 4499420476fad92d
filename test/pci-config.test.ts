import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestConfig } from '../vmm/devices/pci/guest-config.ts';
import { createDevice as createPorts } from '../vmm/devices/pci/ports.ts';
import { POWER_CAPABILITY, configWith, expressCapability, fakeHost, fdOf, msixCapability, nvme } from './fake-pci.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import { codeOf } from './stub-port.ts';

const DEVFN = 8;
const VENDOR = [0x09, 0, 8, 0xaa, 0xbb, 0xcc, 0xdd, 0xee] as const;

/** A function whose every byte this test knows: which a guest can change, and which are the device's own. */
function known(): { device: ReturnType<typeof nvme>; writable: Uint8Array; live: Uint8Array } {
  const config = configWith({
    bars: [
      [0, 0xc],
      [2, 0x8],
    ],
    capabilities: [
      [0x40, msixCapability(9, [0, 0x2000], [0, 0x3000])],
      [0x60, POWER_CAPABILITY],
      [0x70, VENDOR],
      [0x80, expressCapability(false)],
      // Vital product data: left out.
      [0xd0, [0x03, 0, 0, 0, 0, 0, 0, 0]],
    ],
  });
  const writable = new Uint8Array(4096);
  const masks = new DataView(writable.buffer);
  masks.setUint16(0x04, 0x0546, true);
  masks.setUint16(0x0c, 0xffff, true);
  masks.setUint32(0x10, 0xffff_c000, true);
  masks.setUint32(0x14, 0xffff_ffff, true);
  masks.setUint32(0x18, 0xffff_f000, true);
  masks.setUint8(0x3c, 0xff);
  masks.setUint16(0x42, 0xc000, true);
  masks.setUint8(0x64, 3);
  const live = new Uint8Array(4096);
  live.fill(1, 0x72, 0x78).fill(1, 0x82, 0x80 + 60);
  return { device: nvme({ config, bars: { 0: 0x4000, 2: 0x1000 }, irqs: 9 }), writable, live };
}

const accesses = fc.array(
  fc.record({
    at: fc.oneof(fc.nat(0xff), fc.nat(4095)),
    length: fc.integer({ min: 1, max: 8 }),
    value: fc.option(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
  }),
  { maxLength: 60 },
);

describe("a guest's view of configuration space", () => {
  test('behaves as bytes of which some can be changed, for accesses of any width anywhere', () => {
    fc.assert(
      fc.property(accesses, (list) => {
        const { device, writable, live } = known();
        const real = device.config;
        const pci = fakeHost([device]);
        const model = Uint8Array.from({ length: 4096 }, (_, at) => Number(pci.readConfig(DEVFN, at, 1)));
        for (const { at, length, value } of list) {
          if (value !== null) pci.writeConfig(DEVFN, at, length, value);
          const last = value === null ? at : Math.min(at + length, 4096);
          for (let byte = 0; at + byte < last; byte += 1) {
            const [old, mask] = [model[at + byte] ?? 0, writable[at + byte] ?? 0];
            const stored = Number(((value ?? 0n) >> BigInt(8 * byte)) & 0xffn);
            model[at + byte] = live[at + byte] === 1 ? stored : (old & ~mask) | (stored & mask);
          }
          const seen = pci.readConfig(DEVFN, at, length);
          for (let byte = 0; byte < length; byte += 1) {
            // Beyond the function is one that is absent.
            const expected = at + byte < 4096 ? model[at + byte] : 0xff;
            expect(Number((seen >> BigInt(8 * byte)) & 0xffn)).toBe(expected);
          }
        }
        const passed = (bytes: Uint8Array): number[] => [...bytes].filter((_, at) => live[at] === 1);
        expect(passed(real)).toEqual(passed(model));
        pci.scope.close();
        expect(pci.kernel.violations).toEqual([]);
        expect(pci.kernel.slots.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('stores to the device only what is passed through, and its command register', () => {
    fc.assert(
      fc.property(accesses, (list) => {
        const { device, live } = known();
        const pci = fakeHost([device]);
        for (const { at, length, value } of list) if (value !== null) pci.writeConfig(DEVFN, at, length, value);
        for (const [at, bytes] of pci.kernel.state(fdOf(0)).written) {
          // Memory decoding stays on whatever the guest does, or touching a mapping would end the VMM.
          const isRight = at === 4 ? ((bytes[0] ?? 0) & 2) !== 0 : bytes.every((_, byte) => live[at + byte] === 1);
          expect(isRight).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('has the kept capabilities in a chain of their own, and no extended ones', () => {
    const { device } = known();
    device.config.set([0x01, 0x00, 0x02, 0x14], 0x100);
    const pci = fakeHost([device]);
    const ids: number[] = [];
    for (let at = Number(pci.readConfig(DEVFN, 0x34, 1)); at !== 0; at = Number(pci.readConfig(DEVFN, at + 1, 1))) {
      ids.push(Number(pci.readConfig(DEVFN, at, 1)));
    }
    expect(ids).toEqual([0x11, 0x01, 0x09, 0x10]);
    expect(pci.readConfig(DEVFN, 0x100, 4)).toBe(0n);
    expect(pci.readConfig(DEVFN, 0x3d, 1)).toBe(0n);
    expect(pci.readConfig(DEVFN, 0x30, 4)).toBe(0n);
  });

  test('keeps the prefetchable flag and the width of a BAR, and sizes it as PCI does', () => {
    const { device } = known();
    const pci = fakeHost([device]);
    for (const at of [0x10, 0x14, 0x18, 0x1c]) pci.writeConfig(DEVFN, at, 4, 0xffff_ffff);
    expect([0x10, 0x14, 0x18, 0x1c].map((at) => pci.readConfig(DEVFN, at, 4))).toEqual([
      0xffff_c00cn,
      0xffff_ffffn,
      0xffff_f008n,
      0n,
    ]);
  });

  test('of a device that is not there, and of the host bridge', () => {
    const pci = fakeHost([nvme()]);
    expect(pci.readConfig(0x10, 0, 4)).toBe(0xffff_ffffn);
    expect(pci.readConfig(0, 0, 4)).toBe(0x0008_1b36n);
    pci.writeConfig(0, 4, 2, 0xffff);
    expect(pci.readConfig(0, 4, 2)).toBe(0n);
    // Across the end of one function and into the next.
    expect(pci.readConfig(0, 4092, 8)).toBe(0xffff_ffff_0000_0000n);
    expect(pci.readConfig(7, 4092, 8)).toBe(0x0010_1b36_ffff_ffffn);
  });

  test.each([
    ['fails', (): never => fail('EIO')],
    ['is short', () => 1],
  ])('reads all ones from a device whose answer %s, and takes no harm from stores', (_name, answer) => {
    let isGone = false;
    const pci = fakeHost([nvme()], {
      port: (real) => ({
        ...real,
        pread: (fd, into, at) => (isGone ? answer() : real.pread(fd, into, at)),
        pwrite: (fd, from, at) => (isGone ? answer() : real.pwrite(fd, from, at)),
      }),
    });
    isGone = true;
    expect(pci.readConfig(DEVFN, 0x84, 4)).toBe(0xffff_ffffn);
    pci.writeConfig(DEVFN, 0x88, 4, 0xffff);
    pci.writeConfig(DEVFN, 4, 4, 6);
    expect(pci.readConfig(DEVFN, 0, 8)).toBe(0x0010_0006_0010_1b36n);
  });
});

function fail(name: keyof typeof ERRNO): never {
  throw new SysError('the device', ERRNO[name]);
}

describe('a sleeping function', () => {
  test('never sleeps for the host, has no memslots, and wakes as it was', () => {
    const pci = fakeHost([nvme()]);
    pci.writeConfig(DEVFN, 4, 2, 6);
    expect(pci.kernel.slots.size).toBe(1);
    const before = pci.kernel.state(fdOf(0)).written.length;
    pci.writeConfig(DEVFN, 0x64, 2, 3);
    expect(pci.kernel.slots.size).toBe(0);
    expect(pci.readConfig(DEVFN, 0x64, 2)).toBe(0xbn);
    // Only the bus master is switched off meanwhile.
    expect(pci.kernel.state(fdOf(0)).written.slice(before)).toEqual([[4, [0x02, 0x01]]]);
    pci.writeConfig(DEVFN, 0x64, 2, 0);
    expect(pci.kernel.slots.size).toBe(1);
    expect(pci.kernel.state(fdOf(0)).written.at(-1)).toEqual([4, [0x06, 0x01]]);
  });
});

describe('the bus master bit', () => {
  test('reaches the device when the guest sets it, and not where RAM is not mapped for it', () => {
    for (const mayTransfer of [true, false]) {
      const pci = fakeHost([nvme({ mayTransfer })]);
      pci.writeConfig(DEVFN, 4, 2, 4);
      expect(pci.kernel.state(fdOf(0)).written.at(-1)).toEqual([4, [mayTransfer ? 0x06 : 0x02, 0x01]]);
      pci.writeConfig(DEVFN, 4, 2, 0);
      expect(pci.kernel.state(fdOf(0)).written.at(-1)).toEqual([4, [0x02, 0x01]]);
    }
  });
});

describe('a function level reset', () => {
  test('by the guest resets the device after its memslots and interrupts have gone', () => {
    const order: string[] = [];
    const pci = fakeHost([nvme()], {
      port: (real) => ({
        ...real,
        ioctl(fd, request, argument) {
          order.push(request.toString(16));
          return real.ioctl(fd, request, argument);
        },
      }),
    });
    pci.writeConfig(DEVFN, 4, 2, 6);
    const before = pci.kernel.state(fdOf(0)).resets;
    order.length = 0;
    pci.writeConfig(DEVFN, 0x88, 2, 0x8000);
    expect(pci.kernel.state(fdOf(0)).resets).toBe(before + 1);
    expect(order).toEqual(['4020ae46', '3b6f']);
    expect(pci.kernel.slots.size).toBe(0);
    expect(pci.readConfig(DEVFN, 4, 2)).toBe(0n);
    // The bit is no state, and never reaches the device beside the reset itself.
    expect(pci.readConfig(DEVFN, 0x88, 2)).toBe(0n);
    expect(pci.kernel.violations).toEqual([]);
  });

  test('that the kernel refuses leaves the guest with the device as it is', () => {
    let refuses = false;
    const pci = fakeHost([nvme()], {
      port: (real) => ({
        ...real,
        ioctl: (fd, request, argument) =>
          refuses && request === 0x3b6f ? fail('EAGAIN') : real.ioctl(fd, request, argument),
      }),
    });
    pci.writeConfig(DEVFN, 4, 2, 6);
    refuses = true;
    pci.writeConfig(DEVFN, 0x88, 2, 0x8000);
    expect(pci.kernel.slots.size).toBe(0);
    expect(pci.readConfig(DEVFN, 4, 2)).toBe(0n);
    pci.writeConfig(DEVFN, 4, 2, 6);
    expect(pci.kernel.slots.size).toBe(1);
  });
});

describe("x86's configuration ports", () => {
  test('lead to the same registers, of bus 0 only and when they are switched on', () => {
    const pci = fakeHost([nvme()]);
    const ports = createPorts({ port: pci.kernel.port, isStopping: () => false }, pci.host.options);
    const access = (offset: number, length: number, value?: number): number => {
      const data = new DataView(new ArrayBuffer(8));
      if (value !== undefined) data.setUint32(0, value, true);
      expect((value === undefined ? ports.read : ports.write)?.(offset, length, data)).toBe(null);
      return length === 4 ? data.getUint32(0, true) : data.getUint16(0, true);
    };
    expect(access(4, 4)).toBe(0xffff_ffff);
    access(0, 4, 0x8000_0800);
    expect(access(0, 4)).toBe(0x8000_0800);
    expect([access(4, 4), access(6, 2)]).toEqual([0x0010_1b36, 0x0010]);
    access(0, 4, 0x8000_083c);
    access(4, 4, 0xffff_ffff);
    expect(pci.readConfig(DEVFN, 0x3c, 4)).toBe(0xffn);
    access(0, 4, 0x8001_0800);
    expect(access(4, 4)).toBe(0xffff_ffff);
    access(0, 4, 0x0000_0800);
    expect(access(4, 4)).toBe(0xffff_ffff);
    expect(access(1, 2)).toBe(0xffff);
  });
});

function refusal(config: Uint8Array): string {
  return codeOf(() => fakeHost([nvme({ config })]));
}

describe('what cannot be passed to a guest', () => {
  test.each([
    ['a bridge', configWith({}).with(0x0e, 1)],
    ['a device with INTx alone', configWith({ bars: [[0, 4]] })],
    [
      'an MSI-X table behind the end of its BAR',
      configWith({ bars: [[0, 4]], capabilities: [[0x40, msixCapability(65, [0, 0x3f00], [0, 0x3000])]] }),
    ],
    [
      'an MSI-X table in a BAR that is not there',
      configWith({ bars: [[0, 4]], capabilities: [[0x40, msixCapability(65, [5, 0], [0, 0x3000])]] }),
    ],
    [
      'more vectors than VFIO has',
      configWith({ bars: [[0, 4]], capabilities: [[0x40, msixCapability(66, [0, 0x2000], [0, 0x3000])]] }),
    ],
  ])('%s is refused', (_name, config) => {
    expect(refusal(config)).toBe('E_PASSTHROUGH');
  });

  test('a device without any interrupts is not refused', () => {
    expect(refusal(configWith({ bars: [[0, 4]], pin: 0 }))).toBe('none');
  });

  test('too many devices, interrupts or bytes of BARs are refused', () => {
    const many = Array.from({ length: 32 }, () => nvme());
    expect(codeOf(() => fakeHost(many))).toBe('E_PASSTHROUGH');
    const vectors = nvme({
      config: configWith({
        bars: [[0, 4]],
        capabilities: [[0x40, msixCapability(2048, [0, 0x8000], [0, 0])]],
      }),
      bars: { 0: 0x10000 },
      irqs: 2048,
    });
    expect(codeOf(() => fakeHost([vectors, vectors]))).toBe('E_PASSTHROUGH');
    const large = nvme({ config: configWith({ bars: [[0, 0]], pin: 0 }), bars: { 0: 0x2000_0000 } });
    expect(codeOf(() => fakeHost([large]))).toBe('E_PASSTHROUGH');
  });

  test('any bytes at all as configuration space are a view or a refusal, and the view ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), (bytes) => {
        bytes[0x0e] = 0;
        const code = codeOf(() => {
          const { reset } = guestConfig('x', bytes, (bar) => (bar % 2 === 0 ? 0x1000 : 0));
          const seen = new Set<number>();
          for (let at = reset[0x34] ?? 0; at !== 0; at = reset[at + 1] ?? 0) {
            expect(seen.has(at)).toBe(false);
            seen.add(at);
          }
        });
        expect(['none', 'E_PASSTHROUGH']).toContain(code);
      }),
    );
  });
});
