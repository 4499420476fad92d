/** `wcvmm.fleet/1`: a field may be added, none changes its meaning. One group per line. */
import type { State } from './judge.ts';
import { isAsExpected } from './text.ts';
import type { Fleet, Group } from './tally.ts';

export const FLEET_SCHEMA = 'wcvmm.fleet/1';

export interface FleetJson {
  readonly schema: typeof FLEET_SCHEMA;
  readonly asExpected: boolean;
  readonly hosts: number;
  readonly counts: Readonly<Record<State, number>>;
  readonly groups: readonly Group[];
}

export function formatFleetJson(fleet: Fleet): string {
  const { groups, hosts, counts } = fleet;
  const head = JSON.stringify({ schema: FLEET_SCHEMA, asExpected: isAsExpected(fleet), hosts, counts } satisfies Omit<
    FleetJson,
    'groups'
  >);
  const lines = groups.map((group) => `  ${JSON.stringify(group)}`);
  return `${head.slice(0, -1)},"groups":[\n${lines.join(',\n')}\n]}\n`;
}
