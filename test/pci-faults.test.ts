import { describe, expect, test } from 'vitest';
import { ERRNO } from '../vmm/sys/port.ts';
import type { Dma } from '../vmm/vfio/dma.ts';
import { fakeHost, nic, nvme } from './fake-pci.ts';
import type { FakeHost } from './fake-pci.ts';
import { FaultyPort } from './inside/faulty-port.ts';
import type { Fallible } from './inside/faulty-port.ts';

/** What a guest's driver does with a device: switches it on, moves a BAR, takes interrupts, masks one, and resets it. */
function drive(pci: FakeHost): void {
  const table = Number(pci.readConfig(16, 0x10, 8) & ~0xfn) + 0x2000;
  pci.writeConfig(8, 4, 2, 6);
  pci.writeConfig(16, 4, 2, 6);
  pci.writeConfig(16, 0x42, 2, 0x8000);
  for (const vector of [0, 1]) {
    pci.writeMemory(table + vector * 16, 8, 0xfee0_1000n);
    pci.writeMemory(table + vector * 16 + 8, 8, BigInt(vector));
  }
  pci.writeConfig(8, 0x18, 4, 0x1800_0000);
  pci.writeMemory(table + 12, 4, 1);
  pci.readMemory(table + 0x1000, 8);
  pci.readConfig(16, 0x88, 4);
  pci.writeMemory(table + 12, 4, 0);
  pci.writeConfig(16, 0x88, 2, 0x8000);
}

function ioas(number: number): Dma {
  return { kind: 'ioas', iommufd: 90, ioas: number };
}

interface Outcome {
  readonly calls: number;
  readonly error: unknown;
  readonly pci: FakeHost | null;
  readonly faulty: FaultyPort | null;
}

function driveWithFault(failing: number, fallible: Fallible): Outcome {
  let faulty: FaultyPort | null = null;
  let pci: FakeHost | null = null;
  let error: unknown = null;
  const port = (real: FakeHost['kernel']['port']): FakeHost['kernel']['port'] => {
    faulty = new FaultyPort(real, failing, ERRNO.ENOSPC, fallible);
    return faulty.port;
  };
  try {
    pci = fakeHost([nic({ dma: ioas(1) }), nvme({ dma: ioas(2) })], { port });
    drive(pci);
  } catch (thrown) {
    error = thrown;
  }
  try {
    pci?.scope.close();
  } catch (thrown) {
    error ??= thrown;
  }
  return { calls: (faulty as FaultyPort | null)?.calls ?? 0, error, pci, faulty };
}

describe.each([
  ['taking', 40],
  ['giving back', 20],
] as const)('a system call of %s that fails once', (fallible, least) => {
  const whole = driveWithFault(Number.POSITIVE_INFINITY, fallible);

  test('is one of many, all of which work otherwise', () => {
    expect(whole.error).toBe(null);
    expect(whole.calls).toBeGreaterThan(least);
  });

  test.each(Array.from({ length: whole.calls }, (_, index) => index + 1))(
    'as number %i leaves nothing behind, and breaks no rule of KVM',
    (failing) => {
      const { pci, faulty, error } = driveWithFault(failing, fallible);
      expect(faulty?.failed).not.toBe(null);
      expect(faulty?.held()).toEqual({ fds: [], mappings: [], memslots: [] });
      // What a call was to give back as the last one goes with the VM and the device.
      const kept = [...(pci?.kernel.irqfds.keys() ?? []), ...(pci?.kernel.dma.keys() ?? [])];
      const isLast = fallible === 'giving back' && faulty?.failed?.startsWith('ioctl') === true;
      expect(kept.length).toBeLessThanOrEqual(isLast ? 1 : 0);
      const isIrqfd = isLast && pci !== null && pci.kernel.irqfds.size === 1;
      expect(pci?.kernel.violations ?? []).toEqual(isIrqfd ? ['an eventfd is closed while KVM takes its signals'] : []);
      // What ends the run says which call it was; what does not, the guest can live with.
      expect(error === null || /made to fail|kernel refused|gave 0 of/.test(String(error))).toBe(true);
    },
  );
});
