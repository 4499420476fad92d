import { WcvmmError } from '../../vmm/errors.ts';
import type { Machine } from './machine.ts';
import { arm64 } from './qemu-arm64.ts';

const machines: readonly Machine[] = [arm64];

export const architectures: readonly string[] = machines.map((machine) => machine.arch);

/** The machine of an architecture. Throws E_USAGE for one that has no testbed. */
export function machineOf(arch: string): Machine {
  const found = machines.find((machine) => machine.arch === arch);
  if (found === undefined) throw new WcvmmError('E_USAGE', `There is no testbed for "${arch}"; there is one for: ${architectures.join(', ')}.`);
  return found;
}
