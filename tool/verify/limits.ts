/** What a verification leaves unproven, in sentences for its report. Silence would read as proof. */
import type { Source } from '../../memattr/index.ts';
import type { Stage2Dump } from './read-back/stage2.ts';
import type { HostMappings } from './chain.ts';

export function limitsOf(source: Source, stage2: Stage2Dump, host: HostMappings, blindness: string | null): string[] {
  return [
    ...(source === 'memory'
      ? [
          'no device took part: ordinary memory stood in for its BAR, so nothing is said of how VFIO maps one or what a device sees',
        ]
      : []),
    ...(stage2.kind === 'unavailable' ? [`stage 2 was not read back: ${stage2.why}`] : []),
    ...(host.kind === 'unavailable' ? [`the host's mapping was not read back: ${host.why}`] : []),
    ...(blindness === null ? [] : [`no probe observed a memory type: ${blindness}`]),
  ];
}
