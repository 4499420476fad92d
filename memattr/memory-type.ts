/**
 * An arm64 memory type, of one stage or of both combined, and its names.
 * Arm ARM (DDI 0487) B2, "Memory types and attributes"; the shape follows MemoryAttributes of the shared pseudocode.
 */

/** From the strictest to the most relaxed: Gathering, Reordering, Early write acknowledgement. */
export const DEVICE_KINDS = ['nGnRnE', 'nGnRE', 'nGRE', 'GRE'] as const;
export type DeviceKind = (typeof DEVICE_KINDS)[number];

/** From the weakest to the strongest promise of caching. */
export const CACHE_POLICIES = ['NC', 'WT', 'WB'] as const;
export type CachePolicy = (typeof CACHE_POLICIES)[number];

/** One level of caches, inner or outer. The hints are all false for NC, which has none. */
export interface Cacheability {
  readonly policy: CachePolicy;
  readonly readAllocate: boolean;
  readonly writeAllocate: boolean;
  readonly transient: boolean;
}

/** `no-access`: there are allocation tags, and stage 2 forbids access to them (FEAT_MTE_PERM). */
export type Tags = 'none' | 'allocation' | 'no-access';

export interface DeviceType {
  readonly kind: 'device';
  readonly device: DeviceKind;
  /** false: a TLBI with the nXS qualifier need not wait for accesses to it (FEAT_XS). */
  readonly xs: boolean;
}

export interface NormalType {
  readonly kind: 'normal';
  readonly outer: Cacheability;
  readonly inner: Cacheability;
  readonly tags: Tags;
  readonly xs: boolean;
}

/** An encoding that promises nothing: what a CPU makes of it is UNPREDICTABLE. */
export interface ReservedType {
  readonly kind: 'reserved';
  readonly why: string;
}

export type MemoryType = DeviceType | NormalType | ReservedType;

export const NON_CACHEABLE: Cacheability = {
  policy: 'NC',
  readAllocate: false,
  writeAllocate: false,
  transient: false,
};
export const WRITE_BACK: Cacheability = { policy: 'WB', readAllocate: true, writeAllocate: true, transient: false };

export function device(kind: DeviceKind, xs: boolean): DeviceType {
  return { kind: 'device', device: kind, xs };
}

/** Write-Back memory is always exempt from XS (FEAT_XS), whatever `xs` asks for. */
export function normal(
  outer: Cacheability,
  inner: Cacheability,
  { tags = 'none', xs = true }: { tags?: Tags; xs?: boolean } = {},
): NormalType {
  return { kind: 'normal', outer, inner, tags, xs: xs && !(outer.policy === 'WB' && inner.policy === 'WB') };
}

export function reserved(why: string): ReservedType {
  return { kind: 'reserved', why };
}

/** Only Write-Back with both allocation hints, not transient, can have allocation tags: MAIR has no other (pseudocode S2MemTagType). */
export function canBeTagged({ outer, inner }: NormalType): boolean {
  return [outer, inner].every(
    ({ policy, readAllocate, writeAllocate, transient }) =>
      policy === 'WB' && readAllocate && writeAllocate && !transient,
  );
}

/**
 * The short name: everything that decides what a guest may observe, without allocation hints and XS. `Normal-WB`,
 * `Normal-Tagged`, `Device-nGnRE`; where the cache levels differ, outer before inner: `Normal-oWB-iNC`.
 */
export function nameOf(type: MemoryType): string {
  switch (type.kind) {
    case 'device':
      return `Device-${type.device}`;
    case 'reserved':
      return 'reserved';
    case 'normal': {
      if (type.tags === 'allocation') return 'Normal-Tagged';
      if (type.tags === 'no-access') return 'Normal-Tagged-NoTagAccess';
      const [outer, inner] = [type.outer.policy, type.inner.policy];
      return outer === inner ? `Normal-${outer}` : `Normal-o${outer}-i${inner}`;
    }
  }
}

/** The name with all that it leaves out: `Normal-WB (outer RA WA, inner RA transient)`, `Device-GRE (nXS)`, or why it is reserved. */
export function describe(type: MemoryType): string {
  if (type.kind === 'reserved') return `reserved: ${type.why}`;
  const notes =
    type.kind === 'normal'
      ? [hintsOf('outer', type.outer), hintsOf('inner', type.inner)].filter((note) => note !== '')
      : [];
  const isWriteBack = type.kind === 'normal' && type.outer.policy === 'WB' && type.inner.policy === 'WB';
  if (!type.xs && !isWriteBack) notes.push('nXS');
  return notes.length === 0 ? nameOf(type) : `${nameOf(type)} (${notes.join(', ')})`;
}

function hintsOf(level: string, { policy, readAllocate, writeAllocate, transient }: Cacheability): string {
  if (policy === 'NC') return '';
  const hints = [readAllocate ? 'RA' : '', writeAllocate ? 'WA' : '', transient ? 'transient' : ''].filter(
    (hint) => hint !== '',
  );
  return `${level} ${hints.length === 0 ? 'no allocation' : hints.join(' ')}`;
}
