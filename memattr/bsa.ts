/**
 * Rules of Arm's Base System Architecture (DEN0094, section on PCI Express memory space) that checks on a BAR answer; Arm's own
 * conformance suite (sysarch-acs) leaves two of them out where an access may fault.
 */
import type { ProbeName } from './model.ts';

/**
 * PCI_MM_01: a BAR can be mapped as Device memory, and is then accessed. PCI_MM_02: as Normal-NC. PCI_MM_03: unaligned accesses
 * work where it is mapped as Normal memory.
 */
export const BSA_RULES = ['PCI_MM_01', 'PCI_MM_02', 'PCI_MM_03'] as const;

export type BsaRule = (typeof BSA_RULES)[number];

export type Alignment = 'aligned' | 'unaligned';

/** Others are about something else. */
const PROBES: Readonly<Record<Alignment, ReadonlySet<ProbeName>>> = {
  aligned: new Set(['data-read', 'data-write']),
  unaligned: new Set([
    'unaligned-load',
    'unaligned-store',
    'unaligned-load-simd',
    'unaligned-store-simd',
    'unaligned-load-pair',
    'unaligned-store-pair',
  ]),
};

/** @param type of the access, as arm64's model names it: what both stages combine to */
export function bsaRules(access: Alignment, type: string): readonly BsaRule[] {
  if (type.startsWith('Device-')) return access === 'aligned' ? ['PCI_MM_01'] : [];
  if (type !== 'Normal-NC') return [];
  return access === 'aligned' ? ['PCI_MM_02'] : ['PCI_MM_03'];
}

/** Of a guest's probe. */
export function bsaRulesOf(probe: ProbeName, effective: string): readonly BsaRule[] {
  if (PROBES.aligned.has(probe)) return bsaRules('aligned', effective);
  return PROBES.unaligned.has(probe) ? bsaRules('unaligned', effective) : [];
}
