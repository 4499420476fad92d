/** What each probe must see on arm64 where KVM passes every access to the VMM: io_mem_abort() (arch/arm64/kvm/mmio.c). */
import { decodeMair } from './mair.ts';
import { nameOf } from './memory-type.ts';
import type { MemoryType } from './memory-type.ts';
import { PROBES } from './model.ts';
import type { Outcome, Platform, Prediction, ProbeName, Stage1Type } from './model.ts';

const EXIT = 'each access exits to the VMM, which performs it';

/**
 * KVM can pass on what the syndrome describes (ESR_EL2.ISS.ISV, Arm ARM "ISS encoding for an exception from a Data
 * Abort"): loads and stores of one general register, without writeback and not exclusive. DC ZVA is no cache
 * maintenance there. Cache maintenance itself KVM ignores.
 */
const NOT_DESCRIBED = 'has no valid syndrome (ISV = 0): KVM cannot pass it to the VMM, and the VM ends';

type Rule = (own: MemoryType, platform: Platform) => Prediction;

const ALIGNED: Rule = () => sees('ok', EXIT);
const UNALIGNED = unlessStage1Faults('ok', `${EXIT}; an unaligned one in aligned parts`);
const WIDE = unlessStage1Faults('vm-killed', `an access of more than one general register ${NOT_DESCRIBED}`);
const TIMING: Rule = () => ({ kind: 'measurement', why: `${EXIT}: the figure is the cost of exits` });

/** null: the arm64 guest has no such probe. */
const RULES: Readonly<Record<ProbeName, Rule | null>> = {
  'stage1-self-check': () => sees('ok', 'AT S1E1R reports the type that the guest wrote into its own tables'),
  'unaligned-load': UNALIGNED,
  'unaligned-store': UNALIGNED,
  'unaligned-load-simd': WIDE,
  'unaligned-store-simd': WIDE,
  'unaligned-load-pair': WIDE,
  'unaligned-store-pair': WIDE,
  'simd-half-aligned': WIDE,
  'zero-block': unlessStage1Faults('vm-killed', `DC ZVA ${NOT_DESCRIBED}`),
  exclusive: onlyOnWriteBack('an exclusive access'),
  atomic: onlyOnWriteBack('an atomic access'),
  fetch: () => sees('fetch-abort', 'KVM aborts a fetch from where there is no memslot (kvm_handle_guest_abort())'),
  'data-read': ALIGNED,
  'data-write': ALIGNED,
  'tag-retention': (_own, { mte }) =>
    mte
      ? { kind: 'any', why: `an access to tags ${NOT_DESCRIBED}` }
      : sees('not-present', 'this VM has no MTE, and KVM hides it from the guest'),
  'store-bandwidth': TIMING,
  'load-latency': TIMING,
  'nt-store': null,
  'nt-load': null,
  'direct-store': null,
  'cache-flush': null,
  'fence-visibility': null,
  'locked-access': null,
  'timing-class': null,
};

export const TRAPPED_ARM64_PROBES: readonly ProbeName[] = PROBES.filter((probe) => RULES[probe] !== null);

export function predictTrappedArm64(probe: ProbeName, stage1: Stage1Type, platform: Platform): Prediction {
  const rule = RULES[probe];
  if (rule === null)
    throw new RangeError(
      `arm64 has no probe ${probe} where accesses are trapped; expected ${TRAPPED_ARM64_PROBES.join(', ')}.`,
    );
  const own = decodeMair(stage1.encoding);
  return own.kind === 'reserved' ? { kind: 'any', why: own.why } : rule(own, platform);
}

function sees(outcome: Outcome, why: string): Prediction {
  return { kind: 'outcome', outcome, why };
}

/** Stage 1 is checked before stage 2 is looked at (Arm ARM D8.17, "Prioritization of MMU faults"). */
function unlessStage1Faults(outcome: Outcome, why: string): Rule {
  return (own) =>
    own.kind === 'device'
      ? sees('alignment-fault', `stage 1 is ${nameOf(own)}, and its alignment fault comes before the exit`)
      : sees(outcome, why);
}

/** Elsewhere an implementation may fault on stage 1's type first. */
function onlyOnWriteBack(what: string): Rule {
  return (own) =>
    isWriteBack(own)
      ? sees('vm-killed', `${what} ${NOT_DESCRIBED}`)
      : {
          kind: 'any',
          why: `${what} may fault on ${nameOf(own)} (IMPLEMENTATION DEFINED); one that does not ${NOT_DESCRIBED}`,
        };
}

function isWriteBack(type: MemoryType): boolean {
  return type.kind === 'normal' && type.outer.policy === 'WB' && type.inner.policy === 'WB';
}
