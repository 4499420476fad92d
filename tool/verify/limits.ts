/** What a verification leaves unproven, in sentences for its report. Silence would read as proof. */
import type { Source } from '../../memattr/index.ts';
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
