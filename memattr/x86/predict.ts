/**
 * What each probe must see. x86 has no memory type that makes an access fault, so every outcome is the same on all of
 * them: the outcomes prove that data arrives, and the types are proven by reading back what was programmed.
 */
import { PROBES } from '../model.ts';
import type { Prediction, ProbeName } from '../model.ts';
import type { X86Stage2 } from './stage2.ts';

export interface X86Combination {
  readonly stage2: X86Stage2;
  /** Every type that is possible, as far as is known. */
  readonly effective: readonly string[];
}

type Rule = (combination: X86Combination) => Prediction;

/** SDM vol. 1 4.1.1: no memory type requires alignment. Alignment checks (#AC) are for CPL 3, and the guest is at 0. */
const UNALIGNED = (): Prediction => works('unaligned accesses work on every memory type');
const TIMING = 'access time is not an architectural property; the figure means something on hardware only';

/** null: the x86 guest has no such probe. */
const RULES: Readonly<Record<ProbeName, Rule | null>> = {
  'stage1-self-check': () => works("the guest's own PAT and page tables say what the guest wrote there"),
  'unaligned-load': UNALIGNED,
  'unaligned-store': UNALIGNED,
  'unaligned-load-simd': null,
  'unaligned-store-simd': null,
  'unaligned-load-pair': null,
  'unaligned-store-pair': null,
  'simd-half-aligned': null,
  'zero-block': null,
  exclusive: null,
  atomic: locked,
  fetch: null,
  'data-read': coherent('loads work on every memory type'),
  'data-write': coherent('stores work on every memory type'),
  'tag-retention': null,
  'store-bandwidth': () => ({ kind: 'measurement', why: TIMING }),
  'load-latency': () => ({ kind: 'measurement', why: TIMING }),
  'nt-store': nonTemporalStore,
  'nt-load': mayBeEmulated('MOVNTDQA', nonTemporalLoad),
  'direct-store': mayBeEmulated('MOVDIR64B', coherent('MOVDIR64B writes 64 bytes at once on every memory type')),
  'cache-flush': coherent('CLFLUSH works on every memory type and loses no data'),
  'fence-visibility': coherent('SFENCE drains the write-combining buffers, and caches are coherent'),
  'locked-access': locked,
  'timing-class': () => ({
    kind: 'measurement',
    why: 'the probe reports a type only where cached and uncached RAM differ measurably, which takes hardware',
  }),
};

export const X86_PROBES: readonly ProbeName[] = PROBES.filter((probe) => RULES[probe] !== null);

export function predictX86(probe: ProbeName, combination: X86Combination): Prediction {
  const rule = RULES[probe];
  if (rule === null) throw new RangeError(`x86 has no probe ${probe}; expected ${X86_PROBES.join(', ')}.`);
  return rule(combination);
}

function works(why: string): Prediction {
  return { kind: 'outcome', outcome: 'ok', why };
}

/**
 * SDM vol. 3 13.12.4: WC does not snoop the caches, so over memory that others have cached (EPT WB, IPAT off) what is read
 * or written may be stale. AMD makes it WC+ there, which does snoop.
 */
function isIncoherent({ stage2, effective }: X86Combination): boolean {
  return stage2.paging === 'ept' && stage2.type !== 'UC' && stage2.type !== 'WC' && effective.includes('WC');
}

function coherent(why: string): Rule {
  return (combination) =>
    isIncoherent(combination)
      ? { kind: 'any', why: 'WC accesses do not snoop caches, and the host may have cached this memory' }
      : works(why);
}

/** x86_decode_insn() (arch/x86/kvm/emulate.c) knows no MOVDIR64B, and MOVNTDQA on new kernels only. */
function mayBeEmulated(instruction: string, otherwise: Rule): Rule {
  return (combination) =>
    combination.stage2.paging === 'unknown'
      ? {
          kind: 'any',
          why: `without nested paging KVM may emulate the instruction, and ends the VM if it does not know ${instruction}`,
        }
      : otherwise(combination);
}

/** SDM vol. 3 10.1.2, APM vol. 2 7.3.2. A CPU may be set to refuse a bus lock; KVM sets none so. */
function locked({ effective }: X86Combination): Prediction {
  const cached = effective.every((type) => type === 'WB');
  return works(
    cached
      ? 'a locked access to write-back memory locks a cache line'
      : 'a locked access works on every memory type; on any but write-back it locks the bus',
  );
}

/** SDM vol. 1 10.4.6.2: the hint is void on UC and WP. */
function nonTemporalStore(combination: X86Combination): Prediction {
  const ignored = combination.effective.every((type) => type === 'UC' || type === 'CD' || type === 'WP');
  return coherent(
    ignored
      ? 'MOVNTI is an ordinary store here: UC and WP override its hint'
      : 'MOVNTI stores through the write-combining buffers',
  )(combination);
}

/** SDM vol. 2, MOVNTDQA. */
function nonTemporalLoad(combination: X86Combination): Prediction {
  const streams = combination.effective.some((type) => type.startsWith('WC'));
  return coherent(
    streams
      ? 'MOVNTDQA may read ahead a whole line of write-combining memory'
      : 'MOVNTDQA is an ordinary load on any but write-combining memory',
  )(combination);
}
