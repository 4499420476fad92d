import { WcvmmError } from '../errors.ts';
import type { Window } from '../plan.ts';
import type { BarSource } from '../vfio/source.ts';

/** BARs that are memory and nothing else, where a probe's stores change no state of a device. */
const PLAIN_MEMORY: readonly { readonly id: string; readonly bar: number; readonly what: string }[] = [{ id: '1af4:1110', bar: 2, what: 'ivshmem shared memory' }];

/**
 * The probes store to every window. On registers that would reset a NIC or start a DMA, so a BAR that is not known to be
 * plain memory is only touched when the user has said so.
 */
export function requireHarmless(source: BarSource, windows: readonly Window[], allowed: boolean): void {
  if (allowed || source.id === null) return;
  const unknown = windows.find(({ bar }) => !PLAIN_MEMORY.some((known) => known.id === source.id && known.bar === bar));
  if (unknown === undefined) return;
  throw new WcvmmError(
    'E_DEVICE_WRITES',
    `verifying stores to BAR ${unknown.bar} of the device ${source.id}, and wcvmm does not know that BAR as plain memory. ` +
      'If stores there do no harm (a controller memory buffer, an LLQ, a frame buffer nobody uses), say so with --allow-writes; map only that part with --map.',
  );
}
