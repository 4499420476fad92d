/** What Linux guests on x86 need of an instance, and why they get one of one CPU (testbed/machine/qemu-x86.ts). */
import { expect, test } from 'vitest';
import { findings, insideScript } from './support.ts';

const INTERRUPTS = 100;

async function handled(processors: number): Promise<ReadonlyMap<string, unknown>> {
  const { stdout } = await insideScript('injected-interrupts', [String(INTERRUPTS)], { arch: 'x86-amd', processors });
  return findings(stdout);
}

test('in an instance of one CPU a guest handles each interrupt once, none within another, and KVM knows its time', async () => {
  expect([...(await handled(1))]).toEqual([
    ['injected', INTERRUPTS],
    ['handled', INTERRUPTS],
    ['within another', 0],
    ['depth', 0],
    ['time stamp counter runs', true],
  ]);
});

// When an emulator comes that does not, Linux guests need no such instance any more.
test('in one of two QEMU delivers some twice, the second within the first, although the guest has interrupts off', async () => {
  const found = await handled(2);
  expect(Number(found.get('handled'))).toBeGreaterThan(INTERRUPTS);
  expect(Number(found.get('within another'))).toBeGreaterThan(0);
});
