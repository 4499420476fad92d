/** What each probe must see, from the types of stage 1, of stage 2 and of both combined. */
import type { MemoryType } from './memory-type.ts';
import { nameOf } from './memory-type.ts';
import { PROBES } from './model.ts';
import type { Outcome, Prediction, ProbeName } from './model.ts';

export interface Arm64Combination {
  readonly stage1: MemoryType;
  /** Stage 2's type by its name. */
  readonly stage2: string;
  readonly effective: MemoryType;
  readonly faultForwarding: boolean | null;
  readonly mte: boolean;
}

type Rule = (combination: Arm64Combination) => Prediction;

/** What faults on Device memory: the size of an element counts, and a whole register is one element. */
const UNALIGNED = 'an access that is not aligned to its size';
const PAIR = 'a pair whose elements are not aligned to their size';
const SIMD_HALF = 'a 128-bit access that is aligned to 8 bytes only';
const ZERO = 'DC ZVA at any address';

/** null: the arm64 guest has no such probe. */
const RULES: Readonly<Record<ProbeName, Rule | null>> = {
  'stage1-self-check': () => sees('ok', 'AT S1E1R reports the type that the guest wrote into its own tables'),
  'unaligned-load': faultsOnDevice(UNALIGNED),
  'unaligned-store': faultsOnDevice(UNALIGNED),
  'unaligned-load-simd': faultsOnDevice(UNALIGNED),
  'unaligned-store-simd': faultsOnDevice(UNALIGNED),
  'unaligned-load-pair': faultsOnDevice(PAIR),
  'unaligned-store-pair': faultsOnDevice(PAIR),
  'simd-half-aligned': faultsOnDevice(SIMD_HALF),
  'zero-block': faultsOnDevice(ZERO),
  exclusive: onlyOnWriteBack('exclusive accesses'),
  atomic: onlyOnWriteBack('atomic instructions'),
  fetch,
  'data-read': () => sees('ok', 'aligned loads work on every memory type'),
  'data-write': () => sees('ok', 'aligned stores work on every memory type'),
  'tag-retention': tagRetention,
  'store-bandwidth': () => ({
    kind: 'measurement',
    why: 'store bandwidth is not an architectural property; the figure means something on hardware only',
  }),
  'load-latency': () => ({
    kind: 'measurement',
    why: 'load latency is not an architectural property; the figure means something on hardware only',
  }),
  'nt-store': null,
  'nt-load': null,
  'direct-store': null,
  'cache-flush': null,
  'fence-visibility': null,
  'locked-access': null,
  'timing-class': null,
};

export const ARM64_PROBES: readonly ProbeName[] = PROBES.filter((probe) => RULES[probe] !== null);

export function predictArm64(probe: ProbeName, combination: Arm64Combination): Prediction {
  const rule = RULES[probe];
  if (rule === null) throw new RangeError(`arm64 has no probe ${probe}; expected ${ARM64_PROBES.join(', ')}.`);
  const { effective } = combination;
  // So it is where stage 1 is.
  if (effective.kind === 'reserved') return { kind: 'any', why: effective.why };
  return rule(combination);
}

function sees(outcome: Outcome, why: string): Prediction {
  return { kind: 'outcome', outcome, why };
}

/**
 * Arm ARM B2.8.2 "Alignment of data accesses", and DC ZVA's own description. (A location that supports unaligned accesses
 * may be exempt, IMPLEMENTATION DEFINED; no implementation is known to make use of that.) Stage 1 is checked first, so a
 * fault of the guest's own Device type is always the guest's. One that only stage 2 causes is a stage-2 abort, which
 * kvm_handle_guest_abort() must handle.
 */
function faultsOnDevice(what: string): Rule {
  return ({ stage1, stage2, effective, faultForwarding }) => {
    if (stage1.kind === 'device' && effective.kind === 'device') {
      return sees(
        'alignment-fault',
        `stage 1 is ${nameOf(stage1)}, where ${what} faults; the fault is stage 1's and goes to the guest`,
      );
    }
    if (stage1.kind === 'device') return overruled(stage1, `whether ${what} faults`);
    if (effective.kind !== 'device')
      return sees('ok', `${nameOf(effective)} is Normal memory, which needs no alignment`);
    const faults = `stage 2 is ${stage2}, where ${what} faults`;
    switch (faultForwarding) {
      case true:
        return sees('alignment-fault', `${faults}; KVM forwards stage 2's fault to the guest`);
      case false:
        return sees(
          'vm-killed',
          `${faults}; this KVM does not handle stage 2's alignment fault (DFSC 0x21), and KVM_RUN fails with EFAULT`,
        );
      case null:
        return {
          kind: 'one-of',
          outcomes: ['alignment-fault', 'vm-killed'],
          why: `${faults}; it is not known whether this KVM forwards stage 2's fault to the guest: if not, KVM_RUN fails with EFAULT`,
        };
    }
  };
}

/** Arm ARM rule RMTWN: where FWB makes Write-Back of stage 1's Device, a CPU may still treat some accesses as to Device. */
function overruled(stage1: MemoryType, what: string): Prediction {
  return {
    kind: 'any',
    why: `stage 2 forces Write-Back over stage 1's ${nameOf(stage1)}, and the architecture does not say ${what} there`,
  };
}

/** Arm ARM B2, "Synchronization and semaphores" and "Atomicity in the Arm architecture": elsewhere support is IMPLEMENTATION DEFINED. */
function onlyOnWriteBack(what: string): Rule {
  return ({ stage1, effective }) => {
    if (!isWriteBack(effective)) {
      return {
        kind: 'any',
        why: `whether ${what} work on ${nameOf(effective)} is IMPLEMENTATION DEFINED: they may work, fault (DFSC 0x35), or be aborted by the system`,
      };
    }
    if (stage1.kind === 'device') return overruled(stage1, `whether ${what} work`);
    return sees('ok', `${nameOf(effective)} memory, shareable as guests map it, is where ${what} are guaranteed`);
  };
}

function isWriteBack(type: MemoryType): boolean {
  return type.kind === 'normal' && type.outer.policy === 'WB' && type.inner.policy === 'WB';
}

/**
 * KVM maps what is not cacheable execute-never (stage2_set_prot_attr()) and answers a fetch with an external abort
 * (kvm_s2_fault_compute_prot(), -ENOEXEC). In cacheable memory stage 1 alone decides, and a fetch from Device memory that
 * is executable is CONSTRAINED UNPREDICTABLE (Arm ARM K1): a permission fault, or a fetch as from Normal-NC.
 */
function fetch({ stage1, stage2 }: Arm64Combination): Prediction {
  if (stage2 !== 'Normal-WB')
    return sees('fetch-abort', `KVM maps ${stage2} memory execute-never and aborts a fetch from it`);
  if (stage1.kind === 'device')
    return {
      kind: 'any',
      why: `a fetch from stage 1's ${nameOf(stage1)} may fault or work: CONSTRAINED UNPREDICTABLE`,
    };
  return sees('ok', 'KVM makes ordinary memory executable on the first fetch');
}

/** Arm ARM, "The Memory Tagging Extension": outside of Tagged memory the store of a tag is ignored and the load of one gives 0. */
function tagRetention({ mte, effective }: Arm64Combination): Prediction {
  if (!mte) return sees('not-present', 'this VM has no MTE, and KVM hides it from the guest');
  if (effective.kind !== 'normal' || effective.tags === 'none')
    return sees('wrong-data', `${nameOf(effective)} is not Tagged memory: it keeps no tags`);
  if (effective.tags === 'no-access')
    return {
      kind: 'any',
      why: 'stage 2 forbids access to tags (NoTagAccess): a stage-2 fault that KVM does not handle',
    };
  return sees('ok', `${nameOf(effective)} keeps allocation tags`);
}
