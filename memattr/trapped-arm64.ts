/** What each probe must see on arm64 where KVM hands every access to the VMM: io_mem_abort() (arch/arm64/kvm/mmio.c). */
import { decodeMair } from './mair.ts';
import { nameOf } from './memory-type.ts';
import type { MemoryType } from './memory-type.ts';
import type { Outcome, Platform, Prediction, ProbeName, Stage1Type } from './model.ts';
import { ARM64_PROBES } from './predict.ts';

const EXIT = 'each access is an exit, and the VMM makes it';

/**
 * KVM can hand over what the syndrome describes (ESR_EL2.ISS.ISV, Arm ARM "ISS encoding for an exception from a Data
 * Abort"): loads and stores of one general register, without writeback and not exclusive. DC ZVA is no cache
 * maintenance there. Cache maintenance proper KVM passes over.
 */
const NOT_DESCRIBED = 'has no valid syndrome (ISV = 0): KVM cannot hand it over, and the VM ends';

export function predictTrappedArm64(probe: ProbeName, stage1: Stage1Type, { mte }: Platform): Prediction {
  if (!ARM64_PROBES.includes(probe))
    throw new RangeError(`arm64 has no probe ${probe}; expected ${ARM64_PROBES.join(', ')}.`);
  const own = decodeMair(stage1.encoding);
  if (own.kind === 'reserved') return { kind: 'any', why: own.why };
  switch (probe) {
    case 'unaligned-load':
    case 'unaligned-store':
      return own.kind === 'device'
        ? stage1Faults(own)
        : sees('ok', `${EXIT}, in aligned parts where it is not aligned`);
    case 'unaligned-load-simd':
    case 'unaligned-store-simd':
    case 'unaligned-load-pair':
    case 'unaligned-store-pair':
    case 'simd-half-aligned':
    case 'zero-block':
      return own.kind === 'device'
        ? stage1Faults(own)
        : sees(
            'vm-killed',
            `${probe === 'zero-block' ? 'DC ZVA' : 'an access of more than one general register'} ${NOT_DESCRIBED}`,
          );
    case 'exclusive':
      return onlyOnWriteBack(own, 'an exclusive access');
    case 'atomic':
      return onlyOnWriteBack(own, 'an atomic access');
    case 'fetch':
      return sees('fetch-abort', 'KVM aborts a fetch from where there is no memslot (kvm_handle_guest_abort())');
    case 'tag-retention':
      return mte
        ? { kind: 'any', why: `an access to tags ${NOT_DESCRIBED}` }
        : sees('not-present', 'this VM has no MTE, and KVM hides it from the guest');
    case 'store-bandwidth':
    case 'load-latency':
      return { kind: 'measurement', why: `${EXIT}: it is exits that are timed` };
    case 'stage1-self-check':
      return sees('ok', 'AT S1E1R reports the type that the guest wrote into its own tables');
    default:
      return sees('ok', EXIT);
  }
}

function sees(outcome: Outcome, why: string): Prediction {
  return { kind: 'outcome', outcome, why };
}

/** Stage 1 is checked before stage 2 is looked at (Arm ARM D8.17, "Prioritization of MMU faults"). */
function stage1Faults(own: MemoryType): Prediction {
  return sees('alignment-fault', `stage 1 is ${nameOf(own)}, and its alignment fault comes before the exit`);
}

/** Elsewhere an implementation may fault on stage 1's type first. */
function onlyOnWriteBack(own: MemoryType, what: string): Prediction {
  if (isWriteBack(own)) return sees('vm-killed', `${what} ${NOT_DESCRIBED}`);
  return {
    kind: 'any',
    why: `${what} may fault on ${nameOf(own)} (IMPLEMENTATION DEFINED); one that does not ${NOT_DESCRIBED}`,
  };
}

function isWriteBack(type: MemoryType): boolean {
  return type.kind === 'normal' && type.outer.policy === 'WB' && type.inner.policy === 'WB';
}
