/** What a verification leaves unproven, in sentences for its report. Silence would read as proof. */
import type { Source } from '../../memattr/index.ts';
import type { Report } from '../report/report.ts';
import type { Stage2Dump } from './read-back/stage2.ts';
import type { HostMappings } from './arch/arch.ts';

export interface Unproven {
  readonly source: Source;
  readonly stage2: Stage2Dump;
  readonly hostMappings: HostMappings;
  /** Why no probe sees a memory type; null where some do. */
  readonly blindness: string | null;
  /** How much of the windows was not touched; null: nothing. */
  readonly coverage?: string | null;
  /** What else is not known, as sentences. */
  readonly unknowns: readonly string[];
}

export function limitsOf({ source, stage2, hostMappings, blindness, coverage = null, unknowns }: Unproven): string[] {
  return [
    ...(source === 'memory'
      ? [
          'no device was used: ordinary memory stood in for a BAR, so nothing is said about how VFIO maps one or what a device sees',
        ]
      : []),
    ...(stage2.kind === 'unavailable' ? [`stage 2 was not read back: ${stage2.why}`] : []),
    ...(hostMappings.kind === 'unavailable' ? [`the host's mapping was not read back: ${hostMappings.why}`] : []),
    ...(blindness === null ? [] : [`no probe observed a memory type: ${blindness}`]),
    ...(coverage === null ? [] : [coverage]),
    ...unknowns,
  ];
}

/** An emulator is named already, and what it does not model is said of it. */
export function belowHypervisor({ origin, platform }: Pick<Report, 'origin' | 'platform'>): readonly string[] {
  return origin?.hypervisor === true && platform.emulator === null
    ? [
        'this kernel runs below another hypervisor, whose own second stage has a say in every memory type; nothing of it was read',
      ]
    : [];
}

/** There hardware and firmware force types, and what the model knows of KVM and MTRRs does not hold. */
export function insideConfidential({ origin }: Pick<Report, 'origin'>): readonly string[] {
  const kind = origin?.confidential ?? null;
  return kind === null
    ? []
    : [
        `this kernel runs in a confidential guest (${kind}), where the hardware forces memory types of its own: nothing of that is in the model`,
      ];
}
