import { WcvmmError } from '../../common/errors.ts';
import { x86Intel } from './bochs-x86.ts';
import type { KernelTarget, KernelVariant, Machine } from './machine.ts';
import { MACHINES } from './names.ts';
import type { MachineName } from './names.ts';
import { arm64 } from './qemu-arm64.ts';
import { x86Amd } from './qemu-x86.ts';

const BY_NAME: Readonly<Record<MachineName, Machine>> = { arm64, 'x86-amd': x86Amd, 'x86-intel': x86Intel };

const machines: readonly Machine[] = MACHINES.map((name) => BY_NAME[name]);

/** The architectures that kernels are built for: fewer than machines. */
export const kernelArchitectures: readonly string[] = [...new Set(machines.map((machine) => machine.kernel.arch))];

/** Every variant that some architecture has. */
export const allVariants: readonly KernelVariant[] = [
  'stock',
  'patched',
  'wrong-type',
  'wrong-cacheable',
  'cacheable',
  'old-zap',
  'debug',
  'debug-stock',
  '16k',
  '64k',
];

/**
 * The variants that are configured alike, in the order in which they take the least to build one after the other: each test's
 * variant is a few files more than `patched`, and only for `stock` must half of the kernel be compiled again, since the series
 * touches headers.
 */
export function kernelVariants(target: KernelTarget): readonly KernelVariant[] {
  return [
    'patched',
    ...(['wrong-type', 'wrong-cacheable', 'cacheable', 'old-zap'] as const).filter(
      (variant) => target.testPatches[variant] !== undefined,
    ),
    'stock',
  ];
}

/** The machine of an architecture. Throws E_USAGE for one that has no testbed. */
export function machineOf(arch: string): Machine {
  const found = machines.find((machine) => machine.arch === arch);
  if (found === undefined)
    throw new WcvmmError('E_USAGE', `There is no testbed for "${arch}"; there is one for: ${MACHINES.join(', ')}.`);
  return found;
}

/** The kernel of one of `kernelArchitectures`. Throws E_USAGE for another. */
export function kernelOf(arch: string): KernelTarget {
  const found = machines.find((machine) => machine.kernel.arch === arch);
  if (found === undefined)
    throw new WcvmmError(
      'E_USAGE',
      `There is no kernel for "${arch}"; there is one for: ${kernelArchitectures.join(', ')}.`,
    );
  return found.kernel;
}
