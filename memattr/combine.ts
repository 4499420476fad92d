/**
 * What both stages combine to. Arm ARM D8.6.5 without FWB (rules TNHFM, GQFSF, MCQKW), D8.6.6 with it (VRJSW, RHWZM,
 * THYXB, TBQKG), and pseudocode S2CombineS1MemAttrs and AArch64.S2ApplyFWBMemAttrs. KVM combines alike for nested
 * guests in compute_par_s12() (arch/arm64/kvm/at.c).
 */
import {
  CACHE_POLICIES,
  DEVICE_KINDS,
  NON_CACHEABLE,
  WRITE_BACK,
  canBeTagged,
  device,
  normal,
  reserved,
} from './memory-type.ts';
import type { CachePolicy, Cacheability, DeviceType, MemoryType, NormalType, Tags } from './memory-type.ts';
import type { Stage2Attribute } from './stage2.ts';

export type Shareability = 'non-shareable' | 'inner-shareable' | 'outer-shareable';

export function combine(stage1: MemoryType, stage2: Stage2Attribute): MemoryType {
  if (stage1.kind === 'reserved') return stage1;
  switch (stage2.kind) {
    case 'reserved':
      return reserved(stage2.why);
    case 'device':
      return device(stage1.kind === 'device' ? stricter(stage1, stage2.device) : stage2.device, stage1.xs);
    case 'pass':
      return stage1.kind === 'device' ? stage1 : retag(stage1, stage1.tags, stage2.tagAccess);
    case 'force-nc':
      return stage1.kind === 'device' ? stage1 : normal(NON_CACHEABLE, NON_CACHEABLE, { xs: stage1.xs });
    case 'force-wb':
      return stage1.kind === 'device'
        ? normal(WRITE_BACK, WRITE_BACK)
        : retag(normal(forceWriteBack(stage1.outer), forceWriteBack(stage1.inner)), stage1.tags, stage2.tagAccess);
    case 'limit':
      return stage1.kind === 'device'
        ? stage1
        : retag(
            normal(limit(stage1.outer, stage2.outer), limit(stage1.inner, stage2.inner), { xs: stage1.xs }),
            stage1.tags,
            stage2.tagAccess,
          );
  }
}

function stricter(stage1: DeviceType, stage2: DeviceType['device']): DeviceType['device'] {
  return DEVICE_KINDS.indexOf(stage1.device) < DEVICE_KINDS.indexOf(stage2) ? stage1.device : stage2;
}

/** The weaker policy wins; the hints are stage 1's, as stage 2 has none (rule WYQVN). */
function limit(stage1: Cacheability, stage2: CachePolicy): Cacheability {
  const policy = CACHE_POLICIES.indexOf(stage1.policy) < CACHE_POLICIES.indexOf(stage2) ? stage1.policy : stage2;
  return policy === 'NC' ? NON_CACHEABLE : { ...stage1, policy };
}

/** Where stage 1 was cacheable its hints are kept. */
function forceWriteBack(stage1: Cacheability): Cacheability {
  return stage1.policy === 'NC' ? WRITE_BACK : { ...stage1, policy: 'WB' };
}

/** Tags survive only if stage 1 asked for them and the result can hold them (S2MemTagType). */
function retag(type: NormalType, asked: Tags, tagAccess: boolean): NormalType {
  const tags = asked === 'none' || !canBeTagged(type) ? 'none' : tagAccess ? asked : 'no-access';
  return { ...type, tags };
}

const SHAREABILITY: Readonly<Record<number, Shareability>> = {
  0b00: 'non-shareable',
  0b10: 'outer-shareable',
  0b11: 'inner-shareable',
};

/**
 * A descriptor's SH[1:0]; 0b01 is reserved and CONSTRAINED UNPREDICTABLE, which Arm lets behave as any other value: null.
 *
 * @param sh 0 to 3; throws RangeError for anything else
 */
export function decodeShareability(sh: number): Shareability | null {
  if (!Number.isInteger(sh) || sh < 0 || sh > 3) throw new RangeError(`${sh} is no SH field; expected 0 to 3.`);
  return SHAREABILITY[sh] ?? null;
}

/**
 * Arm ARM D8.6.7: the wider of the two domains, but Device and fully Non-cacheable memory is always Outer Shareable.
 *
 * @param stage1 as configured; where stage 1 is uncached itself, a CPU may take it for outer-shareable instead (rule NSCNC)
 */
export function combineShareability(stage1: Shareability, stage2: Shareability, result: MemoryType): Shareability {
  const uncached =
    result.kind === 'device' ||
    (result.kind === 'normal' && result.outer.policy === 'NC' && result.inner.policy === 'NC');
  if (uncached || stage1 === 'outer-shareable' || stage2 === 'outer-shareable') return 'outer-shareable';
  return stage1 === 'inner-shareable' || stage2 === 'inner-shareable' ? 'inner-shareable' : 'non-shareable';
}
