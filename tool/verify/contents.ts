/** What the probes may do to a window: most BARs are registers, where a store acts, and a load need not give back what was stored. */
import type { Outcome, Prediction, ProbeName } from '../../memattr/index.ts';
import { outcomesOf } from '../../memattr/index.ts';
import { expectAnswers } from '../../vmm/memory/answers.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import type { BarSource } from '../../vmm/vfio/source.ts';
import type { TouchedBy } from '../report/report.ts';
import { isPlainMemory } from './writes.ts';

/** What a probe does, as little as it can: `memory` relies on data that it has stored. */
const NEEDS: Readonly<Record<ProbeName, TouchedBy>> = {
  'stage1-self-check': 'loads',
  'unaligned-load': 'loads',
  'unaligned-store': 'stores',
  'unaligned-load-simd': 'loads',
  'unaligned-store-simd': 'stores',
  'unaligned-load-pair': 'loads',
  'unaligned-store-pair': 'stores',
  'simd-half-aligned': 'loads',
  'zero-block': 'stores',
  exclusive: 'memory',
  atomic: 'memory',
  fetch: 'memory',
  'data-read': 'memory',
  'data-write': 'memory',
  'tag-retention': 'memory',
  'store-bandwidth': 'memory',
  'load-latency': 'memory',
  'nt-store': 'memory',
  'nt-load': 'memory',
  'direct-store': 'memory',
  'cache-flush': 'memory',
  'fence-visibility': 'memory',
  'locked-access': 'memory',
  'timing-class': 'memory',
};

const ALLOWS: Readonly<Record<TouchedBy, readonly TouchedBy[]>> = {
  loads: ['loads'],
  stores: ['loads', 'stores'],
  memory: ['loads', 'stores', 'memory'],
};

/** Those of the probes that may be made in a window. */
export function allowedProbes(probes: readonly ProbeName[], by: TouchedBy): readonly ProbeName[] {
  return probes.filter((probe) => ALLOWS[by].includes(NEEDS[probe]));
}

/** Bytes from the start of a page that probes may touch: +8 and 16 bytes of a load; the largest block that DC ZVA zeroes. */
export const TOUCHED_BYTES: Readonly<Record<TouchedBy, number>> = { loads: 24, stores: 2048, memory: 4096 };

/** A device may abort what it does not support, which on arm64 the guest sees: of Normal memory that says the same as `ok`. */
export function predictedOfRegisters(prediction: Prediction): Prediction {
  const outcomes = outcomesOf(prediction);
  if (outcomes === null || !outcomes.includes('ok')) return prediction;
  const why = `${prediction.why}; a device may also abort an access that its registers do not support`;
  return { kind: 'one-of', outcomes: [...outcomes, ABORTED], why };
}

const ABORTED: Outcome = 'external-abort';

/** @param allowed --allow-writes; only then does wcvmm find out itself whether a BAR behaves as memory */
export function touchedBy(
  port: Port,
  { pci }: Pick<BarSource, 'pci'>,
  window: OpenWindow,
  allowed: boolean,
): TouchedBy {
  if (pci === null || isPlainMemory(pci.id, window.bar)) return 'memory';
  if (!allowed) return 'loads';
  return behavesAsMemory(port, window) ? 'memory' : 'stores';
}

const WORDS = 16;
const PATTERNS = [0x5a5a_5a5a, 0xa5a5_a5a5];

/** Do the first 64 bytes of the window keep whatever the host stores there? What was there is put back. */
function behavesAsMemory(port: Port, { mapping }: OpenWindow): boolean {
  const requireAnswers = expectAnswers(port);
  const keeps = keepsWhatIsStored(new Uint32Array(port.view(mapping.address, WORDS * 4)));
  requireAnswers();
  return keeps;
}

/** Touches the words one by one, and leaves them as they were, as far as they keep anything. */
export function keepsWhatIsStored(words: Pick<Uint32Array, number>): boolean {
  const indexes = Array.from({ length: WORDS }, (_, index) => index);
  const before = indexes.map((at) => words[at] ?? 0);
  const kept = PATTERNS.every((pattern) => {
    for (const at of indexes) words[at] = pattern + at;
    return indexes.every((at) => words[at] === pattern + at);
  });
  for (const at of indexes) words[at] = before[at] ?? 0;
  return kept;
}
