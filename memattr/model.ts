/** The vocabulary of the model, and the interface of every architecture's model. */

/** What user space chooses for a window's mapping; a `memory type` is what hardware ends up with. */
export const ATTRIBUTES = ['default', 'device', 'wc'] as const;

export type Attribute = (typeof ATTRIBUTES)[number];

/** Where a window's mapping comes from: a VFIO mmap cookie, VFIO's own offset, sysfs's resource files, ordinary memory. */
export const SOURCES = ['cookie', 'legacy', 'sysfs', 'memory'] as const;

export type Source = (typeof SOURCES)[number];

/** The architectures that there is a model of. */
export const ARCHES = ['arm64', 'x86'] as const;

export type Arch = (typeof ARCHES)[number];

/** What a guest sees of one access; `vm-killed` is what its VMM sees instead. */
export const OUTCOMES = [
  'ok',
  'alignment-fault',
  'vm-killed',
  'external-abort',
  'fetch-abort',
  'undefined',
  'atomic-fault',
  'other-fault',
  'wrong-data',
  'not-present',
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** In the order of enum wcvmm_probe: those of arm64, of which x86 shares some, then those that only x86 has. */
export const PROBES = [
  'stage1-self-check',
  'unaligned-load',
  'unaligned-store',
  'unaligned-load-simd',
  'unaligned-store-simd',
  'unaligned-load-pair',
  'unaligned-store-pair',
  'simd-half-aligned',
  'zero-block',
  'exclusive',
  'atomic',
  'fetch',
  'data-read',
  'data-write',
  'tag-retention',
  'store-bandwidth',
  'load-latency',
  'nt-store',
  'nt-load',
  'direct-store',
  'cache-flush',
  'fence-visibility',
  'locked-access',
  'timing-class',
] as const;

export type ProbeName = (typeof PROBES)[number];

/**
 * `one-of`: something about the platform is not known, and the outcome depends on it; any other is wrong. `any` is for what the
 * architecture leaves open, so that no outcome would prove anything.
 */
export type Prediction =
  | { kind: 'outcome'; outcome: Outcome; why: string }
  | { kind: 'one-of'; outcomes: readonly Outcome[]; why: string }
  | { kind: 'any'; why: string }
  | { kind: 'measurement'; why: string };

/** A type that the guest may choose: arm64, a MAIR_EL1 attribute byte; x86, an entry of the PAT. */
export interface Stage1Type {
  name: string;
  encoding: number;
}

export interface Platform {
  /** FEAT_S2FWB is on: stage 2 can override stage 1. null: not known. */
  fwb: boolean | null;
  /**
   * arm64: KVM forwards an alignment fault that stage 2 causes to the guest; if not, KVM_RUN fails with EFAULT. null: not known.
   */
  faultForwarding: boolean | null;
  /** The VM was given MTE. */
  mte: boolean;
  /** x86: Intel's EPT or AMD's NPT; null or absent: KVM uses neither, or it is not known. */
  nestedPaging?: NestedPaging | null;
  /** x86 with EPT: RAM has the types of the guest's PAT, as KVM_X86_QUIRK_IGNORE_GUEST_PAT is off; absent: it is write-back. */
  guestPat?: boolean;
  /** x86 with NPT: what the host's MTRRs say of the memory behind the window; null or absent: not known. */
  mtrr?: MtrrType | null;
}

/** x86: Intel's and AMD's second stage. */
export const NESTED_PAGING = ['ept', 'npt'] as const;

export type NestedPaging = (typeof NESTED_PAGING)[number];

/** The types that an MTRR can give, from the strictest to the most relaxed as far as they can be compared; EPT has the same. */
export const MTRR_TYPES = ['UC', 'WC', 'WP', 'WT', 'WB'] as const;

export type MtrrType = (typeof MTRR_TYPES)[number];

/**
 * What a memory type lets hardware do with stores: keep each apart, combine them, or cache them. `unknown`: it is no type's
 * name.
 */
export type TypeKind = 'strict' | 'combining' | 'cached' | 'unknown';

/** Whether every guest has a window uncached and uncombined, whatever its own stage 1 says. */
export interface Strictness {
  readonly strict: boolean;
  /** For people: who cannot relax it and by what, or how a guest can. */
  readonly why: string;
}

/** How a guest reaches a window: by a memslot, or by exits. */
export type WindowAccess = 'mapped' | 'trapped';

/**
 * Of a window without a memslot. Stage 2 maps nothing there, so every access of a guest is an exit, and its VMM performs
 * the access on its own mapping: the guest's stage 1 does not affect the memory type, on any platform.
 */
export interface TrappedModel {
  /** Those that are worth running. */
  readonly probes: readonly ProbeName[];
  /** The type of the VMM's accesses. Throws RangeError for an attribute that the source cannot give. */
  effective(attribute: Attribute, source: Source, platform: Platform): string;
  /** What the guest must see. Throws RangeError for a probe that is not one of `probes`. */
  predict(probe: ProbeName, stage1: Stage1Type, platform: Platform): Prediction;
  strictness(attribute: Attribute, source: Source, platform: Platform): Strictness;
}

export interface ArchitectureModel {
  readonly arch: Arch;
  /** Those that checks cover, the strictest first. */
  readonly stage1Types: readonly Stage1Type[];
  /** Of those, and of what only some guests are asked about; null for any other name. */
  stage1Named(name: string): Stage1Type | null;
  /** The type that a driver asks for to have its stores combined. */
  readonly combiningType: string;
  /** Of one type, as this model names them. */
  kindOf(type: string): TypeKind;
  readonly probes: readonly ProbeName[];
  /** The memory type of the host's own mapping. Throws RangeError for an attribute that the source cannot give. */
  hostVma(attribute: Attribute, source: Source): string;
  /** What KVM programs in stage 2. Throws RangeError for an attribute that the source cannot give. */
  stage2(attribute: Attribute, source: Source, platform: Platform): string;
  /** All that stage 2 can be on this platform, whether Linux programs it or not; empty where there is no stage 2. */
  stage2Types(platform: Platform): readonly string[];
  /** The type that both stages combine to. Throws RangeError for a name that stage 2 does not have on this platform. */
  effective(stage1: Stage1Type, stage2: string, platform: Platform): string;
  /** What the guest must see. Throws RangeError as `effective` does, and for a probe that is not one of `probes`. */
  predict(probe: ProbeName, stage1: Stage1Type, stage2: string, platform: Platform): Prediction;
  /** Whether the platform can enforce it. Throws RangeError for an attribute that the source cannot give. */
  strictness(attribute: Attribute, source: Source, platform: Platform): Strictness;
  /** The same of a window that has no memslot; all of the above is about one that has. */
  readonly trapped: TrappedModel;
}
