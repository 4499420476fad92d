/** x86 where KVM emulates the guest's instruction (arch/x86/kvm/emulate.c) and passes its accesses to the VMM. */
import { MTRR_TYPES, PROBES } from '../model.ts';
import type { MtrrType, Platform, Prediction, ProbeName } from '../model.ts';
import type { PatType } from './pat.ts';
import { combineAmd, combineIntel } from './mtrr.ts';

/** The type of the VMM's own accesses; every possible one where the MTRR is not known. */
export function hostTypes(hostVma: PatType, { nestedPaging, mtrr }: Platform): readonly string[] {
  const combine = nestedPaging === 'npt' ? combineAmd : combineIntel;
  const types: readonly MtrrType[] = mtrr ? [mtrr] : MTRR_TYPES;
  return [...new Set(types.map((type) => combine(hostVma, type)))];
}

const EXIT = 'KVM emulates the instruction, and the VMM performs its accesses';
const PLAIN = works(EXIT);
const TWO_ACCESSES = works(`${EXIT}: a load and a store, atomic to this guest and two accesses to the device`);
const TIMING: Prediction = { kind: 'measurement', why: 'each access is an exit: the figure is the cost of exits' };

/** null: the x86 guest has no such probe, or it is not worth asking here. */
const PREDICTIONS: Readonly<Record<ProbeName, Prediction | null>> = {
  'stage1-self-check': works("the guest's own PAT and page tables say what the guest wrote there"),
  'unaligned-load': PLAIN,
  'unaligned-store': PLAIN,
  'unaligned-load-simd': null,
  'unaligned-store-simd': null,
  'unaligned-load-pair': null,
  'unaligned-store-pair': null,
  'simd-half-aligned': null,
  'zero-block': null,
  exclusive: null,
  atomic: TWO_ACCESSES,
  fetch: null,
  'data-read': PLAIN,
  'data-write': PLAIN,
  'tag-retention': null,
  'store-bandwidth': TIMING,
  'load-latency': TIMING,
  'nt-store': PLAIN,
  'nt-load': mayBeUnknown('MOVNTDQA'),
  'direct-store': mayBeUnknown('MOVDIR64B'),
  'cache-flush': works('KVM turns CLFLUSH into a load of one byte: there is nothing to flush'),
  'fence-visibility': PLAIN,
  'locked-access': TWO_ACCESSES,
  // It would time exits, thousands of them.
  'timing-class': null,
};

export const TRAPPED_PROBES: readonly ProbeName[] = PROBES.filter((probe) => PREDICTIONS[probe] !== null);

export function predictTrappedX86(probe: ProbeName): Prediction {
  const prediction = PREDICTIONS[probe];
  if (prediction === null)
    throw new RangeError(
      `x86 has no probe ${probe} where accesses are trapped; expected ${TRAPPED_PROBES.join(', ')}.`,
    );
  return prediction;
}

function works(why: string): Prediction {
  return { kind: 'outcome', outcome: 'ok', why };
}

/** New kernels know MOVNTDQA, and none MOVDIR64B. */
function mayBeUnknown(instruction: string): Prediction {
  return { kind: 'any', why: `KVM's emulator may not know ${instruction}, and then ends the VM` };
}
