import { describe, expect, test } from 'vitest';
import { ERRNO } from '../vmm/sys/port.ts';
import type { Dma } from '../vmm/vfio/dma.ts';
import { fakeHost, nic, nvme } from './fake-pci.ts';
import type { FakeHost } from './fake-pci.ts';
import { FaultyPort } from './inside/faulty-port.ts';

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

function driveWithFault(failing: number): Outcome {
  let faulty: FaultyPort | null = null;
  let pci: FakeHost | null = null;
  let error: unknown = null;
  const port = (real: FakeHost['kernel']['port']): FakeHost['kernel']['port'] => {
    faulty = new FaultyPort(real, failing, ERRNO.ENOSPC);
    return faulty.port;
  };
  try {
    pci = fakeHost([nic({ dma: ioas(1) }), nvme({ dma: ioas(2) })], { port });
    drive(pci);
  } catch (thrown) {
    error = thrown;
  }
  pci?.scope.close();
  return { calls: (faulty as FaultyPort | null)?.calls ?? 0, error, pci, faulty };
}

describe('a system call that fails once', () => {
  const whole = driveWithFault(Number.POSITIVE_INFINITY);

  test('is one of many, all of which work otherwise', () => {
    expect(whole.error).toBe(null);
    expect(whole.calls).toBeGreaterThan(40);
  });

  test.each(Array.from({ length: whole.calls }, (_, index) => index + 1))(
    'as number %i leaves nothing behind, and breaks no rule of KVM',
    (failing) => {
      const { pci, faulty, error } = driveWithFault(failing);
      expect(faulty?.failed).not.toBe(null);
      expect(faulty?.held()).toEqual({ fds: [], mappings: [], memslots: [] });
      expect(pci?.kernel.violations ?? []).toEqual([]);
      expect([pci?.kernel.irqfds.size ?? 0, pci?.kernel.dma.size ?? 0]).toEqual([0, 0]);
      // What ends the run says which call it was; what does not, the guest can live with.
      expect(error === null || /made to fail|kernel refused|gave 0 of/.test(String(error))).toBe(true);
    },
  );
});
