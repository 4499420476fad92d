import { WcvmmError } from '../../common/errors.ts';
import type { Target } from '../../vmm/vfio/open-windows.ts';

/** BARs that are memory and nothing else, where a probe's stores change no state of a device. */
const PLAIN_MEMORY: readonly { readonly id: string; readonly bar: number; readonly what: string }[] = [
  { id: '1af4:1110', bar: 2, what: 'ivshmem shared memory' },
  { id: '1234:1111', bar: 0, what: 'frame buffer of an emulated VGA card: pixels at worst' },
];

export function isPlainMemory(id: string, bar: number): boolean {
  return PLAIN_MEMORY.some((known) => known.id === id && known.bar === bar);
}

/**
 * Measurements store to every window. On registers that would reset a NIC or start a DMA, so a BAR that is not known to be
 * plain memory is only measured when the user allows it. verify needs no permission: it only loads there (contents.ts).
 */
export function requireHarmless({ pci, bars }: Target, allowed: boolean): void {
  if (allowed || pci === null) return;
  const { id } = pci;
  const unknown = bars.find((bar) => !isPlainMemory(id, bar));
  if (unknown === undefined) return;
  throw new WcvmmError(
    'E_DEVICE_WRITES',
    `measuring stores to BAR ${unknown} of the device ${id}, which wcvmm does not know as plain memory. ` +
      'If stores do no harm there (a controller memory buffer, an LLQ, an unused frame buffer), give --allow-writes, and map only that part with --map.',
  );
}
