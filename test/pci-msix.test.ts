import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FIRST_GSI, configWith, fakeHost, fdOf, msixCapability, nic, nvme } from './fake-pci.ts';
import type { FakeHost } from './fake-pci.ts';

const DEVFN = 8;
const FD = fdOf(0);
const ENABLE = 0x8000;
const MASK_ALL = 0x4000;

/** The MSI-X capability's control register of nvme(). */
const CONTROL = 0x42;
const MASKED = 1;

interface Nvme extends FakeHost {
  /** Guest-physical address of the table. */
  readonly table: number;
}

function started(extra: Parameters<typeof nvme>[0] = {}, options: Parameters<typeof fakeHost>[1] = {}): Nvme {
  const pci = fakeHost([nvme(extra)], options);
  pci.writeConfig(DEVFN, 4, 2, 6);
  return { ...pci, table: Number(pci.readConfig(DEVFN, 0x10, 8) & ~0xfn) + 0x2000 };
}

function setEntry({ writeMemory, table }: Nvme, vector: number, data: number, control = 0): void {
  const at = table + vector * 16;
  writeMemory(at, 4, 0xfee0_1000);
  writeMemory(at + 4, 4, 0);
  writeMemory(at + 8, 4, data);
  writeMemory(at + 12, 4, control);
}

/** Data of the route by which each vector is delivered. */
function routed({ kernel }: FakeHost): Record<number, number> {
  return Object.fromEntries(
    [...kernel.irqfds.values()].map((gsi): [number, number] => {
      const words = (kernel.routes.get(gsi) ?? '').split(' ');
      return [gsi - FIRST_GSI, Number.parseInt(words[5] ?? '', 16)];
    }),
  );
}

/** Few, so that one vector lives through much. */
const vectors = fc.nat(1);
const steps = fc.array(
  fc.oneof(
    fc.record({ entry: vectors, data: fc.nat(3), masked: fc.boolean() }),
    fc.record({ mask: vectors, masked: fc.boolean() }),
    fc.record({ control: fc.constantFrom(0, ENABLE, ENABLE | MASK_ALL, MASK_ALL) }),
    fc.record({ interrupt: vectors }),
  ),
  { minLength: 20, maxLength: 80 },
);

describe('MSI-X', () => {
  test.each([{ noResize: false }, { noResize: true }])(
    'delivers what is enabled and not masked, keeps what is masked, and loses nothing: %j',
    (device) => {
      fc.assert(
        fc.property(steps, (list) => {
          const pci = started(device);
          const model = Array.from({ length: 2 }, () => ({ data: 0, masked: true, waits: false }));
          let control = 0;
          for (const [index, step] of list.entries()) {
            const delivered = pci.kernel.delivered.length;
            const couldSend = model.map(({ masked }) => control === ENABLE && !masked);
            if ('entry' in step) {
              setEntry(pci, step.entry, step.data, step.masked ? MASKED : 0);
              model[step.entry] = {
                ...model[step.entry],
                data: step.data,
                masked: step.masked,
                waits: model[step.entry]?.waits ?? false,
              };
            } else if ('mask' in step) {
              pci.writeMemory(pci.table + step.mask * 16 + 12, 4, step.masked ? MASKED : 0);
              model[step.mask] = { data: 0, waits: false, ...model[step.mask], masked: step.masked };
            } else if ('control' in step) {
              control = step.control;
              pci.writeConfig(DEVFN, CONTROL, 2, control);
              if ((control & ENABLE) === 0) for (const one of model) one.waits = false;
            } else {
              const one = model[step.interrupt];
              // What VFIO was never asked for, the device's own mask keeps.
              const isArmed =
                pci.kernel.state(FD).vectors?.has(step.interrupt) === true &&
                (pci.kernel.state(FD).vectors?.get(step.interrupt) ?? -1) >= 0;
              pci.kernel.interrupt(FD, step.interrupt);
              if (one !== undefined && isArmed && couldSend[step.interrupt] !== true) one.waits = true;
            }
            const sending = model.flatMap(({ data, masked }, vector) =>
              control === ENABLE && !masked ? [[vector, data]] : [],
            );
            expect(routed(pci)).toEqual(Object.fromEntries(sending));
            // What had waited arrives with its vector.
            for (const [vector, one] of model.entries()) {
              if (!one.waits || control !== ENABLE || one.masked) continue;
              expect(pci.kernel.delivered.slice(delivered)).toContain(FIRST_GSI + vector);
              one.waits = false;
            }
            // Looking takes the signals out of the eventfds, so not always.
            const pending = model.reduce((bits, { waits }, vector) => bits | (waits ? 1 << vector : 0), 0);
            const seen = index % 3 === 0 ? pci.readMemory(pci.table + 0x1000, 8) : BigInt(pending);
            expect(seen).toBe(BigInt(pending));
          }
          pci.scope.close();
          expect(pci.kernel.violations).toEqual([]);
          expect([pci.kernel.irqfds.size, pci.kernel.events.size, pci.kernel.state(FD).vectors]).toEqual([0, 0, null]);
        }),
        { numRuns: 100 },
      );
    },
  );

  test('no interrupt is an exit: VFIO signals what KVM takes', () => {
    const pci = started();
    pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
    setEntry(pci, 3, 0x21);
    const exits = pci.host.exits();
    for (let count = 0; count < 100; count += 1) pci.kernel.interrupt(FD, 3);
    expect(pci.kernel.delivered).toEqual(Array.from({ length: 100 }, () => FIRST_GSI + 3));
    expect(pci.host.exits()).toEqual(exits);
  });

  test('is armed vector by vector where VFIO can, and all at once where it cannot add any', () => {
    for (const noResize of [false, true]) {
      const pci = started({ noResize });
      pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
      setEntry(pci, 40, 1);
      setEntry(pci, 2, 1);
      expect(pci.kernel.state(FD).asked).toBe(noResize ? 65 : 41);
      expect(
        [...(pci.kernel.state(FD).vectors ?? [])]
          .filter(([, eventfd]) => eventfd >= 0)
          .map(([vector]) => vector)
          .toSorted(),
      ).toEqual([2, 40]);
    }
  });

  test('says which vector the host has no room for, and takes what it has', () => {
    const pci = started({ noResize: true, hostVectors: 8 });
    pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
    setEntry(pci, 7, 1);
    expect(routed(pci)).toEqual({ 7: 1 });
    expect(() => setEntry(pci, 8, 1)).toThrow(/vector 8 of a device, and this host can give the device 8/);
    pci.scope.close();
    expect([pci.kernel.irqfds.size, pci.kernel.events.size]).toEqual([0, 0]);
  });

  test("on arm64 a message names who sends it: the guest's number of the device", () => {
    const pci = started({}, { hasIts: true });
    pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
    setEntry(pci, 0, 5);
    expect(pci.kernel.routes.get(FIRST_GSI)).toBe('2 1 0 fee01000 0 5 8');
    const without = started();
    without.writeConfig(DEVFN, CONTROL, 2, ENABLE);
    setEntry(without, 0, 5);
    expect(without.kernel.routes.get(FIRST_GSI)).toBe('2 0 0 fee01000 0 5 0');
  });

  test("keeps the VM's other routes, and has different GSIs for each device", () => {
    const pci = fakeHost([nvme(), nvme()]);
    for (const devfn of [8, 16]) {
      pci.writeConfig(devfn, 4, 2, 2);
      pci.writeConfig(devfn, CONTROL, 2, ENABLE);
      const table = Number(pci.readConfig(devfn, 0x10, 8) & ~0xfn) + 0x2000;
      setEntry({ ...pci, table }, 0, devfn);
    }
    expect([...pci.kernel.routes.keys()]).toEqual([4, FIRST_GSI, FIRST_GSI + 65]);
    expect(pci.kernel.violations).toEqual([]);
  });

  test('whose table shares its only page with registers costs that page and no more', () => {
    const pci = fakeHost([nic()]);
    pci.writeConfig(DEVFN, 4, 2, 2);
    const base = Number(pci.readConfig(DEVFN, 0x20, 8) & ~0xfn);
    pci.writeMemory(base + 0x10, 4, 0xdead_beef);
    pci.writeMemory(base + 0x800, 8, 0x1_0000_1000n);
    expect([pci.readMemory(base + 0x10, 4), pci.readMemory(base + 0x800, 8)]).toEqual([0xdead_beefn, 0x1_0000_1000n]);
    const bar = pci.host.options.functions[1]?.bars[2];
    const real = new Uint32Array(pci.kernel.memory.get(bar?.hva ?? 0n) ?? new ArrayBuffer(0));
    // The register is the device's; the table never reaches it.
    expect([real[4], real[0x200]]).toEqual([0xdead_beef, 0]);
    expect(pci.host.exits()).toEqual([4]);
  });

  test('has a table and pending bits at any offset that the device names', () => {
    for (const [tableAt, pendingAt] of [
      [0x0, 0x3ff8],
      [0x1230, 0x1240],
      [0x2ff8, 0x10],
    ] as const) {
      const config = configWith({
        bars: [[0, 4]],
        capabilities: [[0x40, msixCapability(1, [0, tableAt], [0, pendingAt])]],
      });
      const pci = started({ config, irqs: 1 });
      const at = { ...pci, table: pci.table - 0x2000 + tableAt };
      pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
      setEntry(at, 0, 7);
      expect(routed(pci)).toEqual({ 0: 7 });
      pci.writeMemory(at.table + 12, 4, MASKED);
      pci.kernel.interrupt(FD, 0);
      expect(pci.readMemory(pci.table - 0x2000 + pendingAt, 4)).toBe(1n);
      pci.writeMemory(pci.table - 0x2000 + pendingAt, 8, 0);
      expect(pci.readMemory(pci.table - 0x2000 + pendingAt, 8)).toBe(1n);
      expect(pci.kernel.violations).toEqual([]);
    }
  });

  test('is off after a reset by the guest, and works again when the guest sets it up again', () => {
    const pci = started();
    for (let round = 0; round < 3; round += 1) {
      pci.writeConfig(DEVFN, 4, 2, 6);
      pci.writeConfig(DEVFN, CONTROL, 2, ENABLE);
      setEntry(pci, 1, round);
      expect(routed(pci)).toEqual({ 1: round });
      pci.writeConfig(DEVFN, 0x88, 2, 0x8000);
      expect([pci.kernel.irqfds.size, pci.kernel.state(FD).vectors]).toEqual([0, null]);
    }
    expect(pci.kernel.events.size).toBe(1);
    expect(pci.kernel.violations).toEqual([]);
  });
});

describe('MSI without X', () => {
  const MSI = 0x50;
  /** Four vectors, 64-bit, with masks of its own, which the guest does not get. */
  const device = (): ReturnType<typeof nvme> =>
    nvme({
      config: configWith({
        bars: [[0, 4]],
        capabilities: [[MSI, [0x05, 0, 0x84, 0x01, ...Array.from({ length: 20 }, () => 0)]]],
      }),
      irqs: 4,
      noResize: true,
    });

  test("is one vector, and the guest's message is the route", () => {
    const pci = fakeHost([device()]);
    expect(pci.readConfig(DEVFN, MSI + 2, 2)).toBe(0x80n);
    pci.writeConfig(DEVFN, MSI + 4, 4, 0xfee0_0004);
    pci.writeConfig(DEVFN, MSI + 8, 4, 1);
    pci.writeConfig(DEVFN, MSI + 12, 2, 0x4020);
    // With more vectors than it has.
    pci.writeConfig(DEVFN, MSI + 2, 2, 1 | (7 << 4));
    expect([pci.kernel.routes.get(FIRST_GSI), pci.kernel.state(FD).asked]).toEqual(['2 0 0 fee00004 1 4020 0', 1]);
    pci.kernel.interrupt(FD, 0);
    expect(pci.kernel.delivered).toEqual([FIRST_GSI]);
    pci.writeConfig(DEVFN, MSI + 12, 2, 0x4021);
    expect(routed(pci)).toEqual({ 0: 0x4021 });
    pci.writeConfig(DEVFN, MSI + 2, 2, 0);
    expect([pci.kernel.irqfds.size, pci.kernel.state(FD).vectors]).toEqual([0, null]);
    pci.scope.close();
    expect([pci.kernel.violations, pci.kernel.events.size]).toEqual([[], 0]);
  });
});
