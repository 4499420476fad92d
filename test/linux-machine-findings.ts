/** What test/inside/linux-machine.ts has to find, on every KVM. */
import { expect, test } from 'vitest';

const off = { end: { kind: 'power-off' }, said: '' };
const reset = { end: { kind: 'reset' }, said: '' };
const refused = (error: string): object => ({ end: { error }, said: '' });

export function testMachines(found: ReadonlyMap<string, unknown>): void {
  test('a kernel finds its serial port and powers off', () => {
    expect(found.get('says and powers off')).toEqual({ end: { kind: 'power-off' }, said: 'né?' });
  });

  test('the same threads serve one boot after the other', () => {
    expect(found.get('resets')).toEqual([reset, reset, { ...reset, said: 'a' }]);
  });

  test('all vCPUs but the first wait, and all end', () => {
    expect([found.get('two vCPUs'), found.get('four vCPUs')]).toEqual([off, off]);
  });

  test('RAM may be far more than the machine has', () => {
    expect(found.get('much RAM')).toEqual(off);
    expect([off, null]).toContainEqual(found.get('more RAM than below the usual BARs'));
  });

  test('a guest that never ends is stopped', () => {
    expect(found.get('spins')).toEqual(refused('E_GUEST_TIMEOUT'));
  });

  test('what cannot be is refused', () => {
    const names = ['17 vCPUs', 'more vCPUs than KVM has', 'too much RAM', 'initrd', 'kept IOVAs'];
    expect(names.map((name) => found.get(name))).toEqual(
      ['E_USAGE', 'E_USAGE', 'E_USAGE', 'E_GUEST_IMAGE', 'E_USAGE'].map(refused),
    );
  });

  testFaults(found, '');
}

/** @param devices "" for a guest without, else how they are opened */
function testFaults(found: ReadonlyMap<string, unknown>, devices: string): void {
  test.each(['taking', 'giving back'])(
    `each system call fails once while %s${devices}, the message says which, and nothing is left behind`,
    (what) => {
      const faults = found.get(`a fault while ${what}${devices}`) as { readonly calls: number } | undefined;
      expect(faults).toEqual({ calls: expect.any(Number), left: [], unnamed: [] });
      expect(faults?.calls).toBeGreaterThan(5);
    },
  );
}

/** With devices that VFIO has. @param iommus the ways to an IOMMU that they are opened by */
export function testMachinesWithDevices(found: ReadonlyMap<string, unknown>, iommus: readonly string[]): void {
  for (const iommu of iommus) testFaults(found, `, devices by ${iommu}`);
}

export function testTripleFault(found: ReadonlyMap<string, unknown>): void {
  test('a triple fault is a reset, but for a kernel that has not said a word', () => {
    const failed = { end: { kind: 'failed', exit: { kind: 'shutdown' } }, said: '' };
    expect(found.get('triple faults')).toEqual([{ ...reset, said: 'a' }, failed]);
  });
}
