/** Where an emulator is known to differ from the architecture. Each was observed, and excuses exactly what was observed. */
import type { Outcome, ProbeName } from './model.ts';
import { TRAPPED } from './trapped.ts';

/** One check, as far as an erratum may look at it. */
export interface ErratumCheck {
  probe: ProbeName;
  stage1: string;
  stage2: string;
  effective: string;
  predicted: Outcome;
  observed: Outcome;
}

export interface Erratum {
  /** Stable, for reports. */
  id: string;
  /** Tested against the emulator's name and version, `qemu-10.0.2`. */
  emulator: RegExp;
  text: string;
  matches(check: ErratumCheck): boolean;
}

/** Seen on 10.0.2; 10.0 is the first with alignment faults by memory type that stage 2 can cause. */
const QEMU_10 = /^qemu-10\./;

/** The memory type requires a fault, whoever gets it; the emulator performs the access. */
function faultNotRaised(probe: ProbeName): Erratum['matches'] {
  return (check) =>
    check.probe === probe &&
    check.observed === 'ok' &&
    (check.predicted === 'alignment-fault' || check.predicted === 'vm-killed');
}

export const errata: readonly Erratum[] = [
  {
    id: 'qemu-dc-zva-device',
    emulator: QEMU_10,
    text: 'QEMU executes DC ZVA on Device memory; the architecture requires a fault.',
    matches: faultNotRaised('zero-block'),
  },
  {
    id: 'qemu-simd-half-aligned',
    emulator: QEMU_10,
    text: 'QEMU requires 8-byte alignment of a 128-bit SIMD access to Device memory; the architecture requires 16.',
    matches: faultNotRaised('simd-half-aligned'),
  },
  {
    id: 'qemu-device-alignment-trapped',
    emulator: QEMU_10,
    text: 'On Device memory QEMU lets DC ZVA, and a 128-bit access aligned to 8 bytes, reach stage 2; the architecture requires a stage-1 fault. Where accesses are trapped, KVM then ends the VM.',
    matches: ({ probe, stage2, predicted, observed }) =>
      stage2 === TRAPPED &&
      (probe === 'zero-block' || probe === 'simd-half-aligned') &&
      predicted === 'alignment-fault' &&
      observed === 'vm-killed',
  },
];

/** What both stages make of an address, by AT S12E1R: types as memattr names them. */
export interface TranslatedCheck {
  readonly stage1: string;
  readonly stage2: string;
  readonly predicted: string;
  readonly observed: string;
}

export interface TranslationErratum extends Pick<Erratum, 'id' | 'emulator' | 'text'> {
  matches(check: TranslatedCheck): boolean;
}

/** Seen on 10.0.2, in two of the 36 combinations that KVM and guests make. */
export const translationErrata: readonly TranslationErratum[] = [
  {
    id: 'qemu-translate-gre',
    emulator: QEMU_10,
    text: 'Without FWB, QEMU combines Device-GRE and Normal-NC to Device-nGnRE; the architecture requires Device-GRE.',
    matches: ({ stage1, stage2, predicted, observed }) =>
      stage1 === 'Device-GRE' && stage2 === 'Normal-NC' && predicted === 'Device-GRE' && observed === 'Device-nGnRE',
  },
  {
    id: 'qemu-translate-ngnrne',
    emulator: QEMU_10,
    text: 'With FWB, QEMU combines Device-nGnRnE and Device-nGnRE to Device-nGnRE; the architecture requires Device-nGnRnE.',
    matches: ({ stage1, stage2, predicted, observed }) =>
      stage1 === 'Device-nGnRnE' &&
      stage2 === 'Device-nGnRE' &&
      predicted === 'Device-nGnRnE' &&
      observed === 'Device-nGnRE',
  },
];
