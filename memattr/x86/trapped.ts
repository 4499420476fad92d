/** x86 where KVM carries the guest's instruction out (arch/x86/kvm/emulate.c) and hands its accesses to the VMM. */
import type { MtrrType, Platform, Prediction, ProbeName } from '../model.ts';
import { MTRR_TYPES } from './pat.ts';
import type { PatType } from './pat.ts';
import { combineAmd, combineIntel } from './mtrr.ts';
import { X86_PROBES } from './predict.ts';

/** The type of the VMM's own accesses: every answer that is possible where nobody knows the MTRR. */
export function hostTypes(hostVma: PatType, { nestedPaging, mtrr }: Platform): readonly string[] {
  const combine = nestedPaging === 'npt' ? combineAmd : combineIntel;
  const types: readonly MtrrType[] = mtrr ? [mtrr] : MTRR_TYPES;
  return [...new Set(types.map((type) => combine(hostVma, type)))];
}

/** timing-class would time exits, and thousands of them. */
export const TRAPPED_PROBES: readonly ProbeName[] = X86_PROBES.filter((probe) => probe !== 'timing-class');

const EXIT = 'KVM carries the instruction out, and the VMM makes its accesses';

export function predictTrappedX86(probe: ProbeName): Prediction {
  if (!TRAPPED_PROBES.includes(probe))
    throw new RangeError(
      `x86 has no probe ${probe} where accesses are trapped; expected ${TRAPPED_PROBES.join(', ')}.`,
    );
  switch (probe) {
    case 'stage1-self-check':
      return works("the guest's own PAT and page tables say what the guest wrote there");
    case 'nt-load':
      return mayBeUnknown('MOVNTDQA');
    case 'direct-store':
      return mayBeUnknown('MOVDIR64B');
    case 'atomic':
    case 'locked-access':
      return works(`${EXIT}: a load and a store, which are one to this guest and two to the device`);
    case 'cache-flush':
      return works('KVM makes a load of one byte of CLFLUSH, and flushes nothing: there is nothing to be flushed');
    case 'store-bandwidth':
    case 'load-latency':
      return { kind: 'measurement', why: 'each access is an exit: it is exits that are timed' };
    default:
      return works(EXIT);
  }
}

function works(why: string): Prediction {
  return { kind: 'outcome', outcome: 'ok', why };
}

/** New kernels know MOVNTDQA, and none MOVDIR64B. */
function mayBeUnknown(instruction: string): Prediction {
  return { kind: 'any', why: `KVM's emulator may not know ${instruction}: it ends the VM then` };
}
