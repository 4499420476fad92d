/** Reports of a fleet against a profile: seconds per thousand, and the memory that ten thousand take. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure, Sample } from '../figure.ts';
import { writeFleet } from '../fleet-reports.ts';
import type { GeneratedFleet } from '../fleet-reports.ts';
import { CLI, spentBy } from '../spend.ts';
import type { Spent } from '../spend.ts';

const KINDS = 200;

async function compared(count: number, take: (fleet: GeneratedFleet, spent: Spent) => Sample): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-bench-fleet-'));
  try {
    const fleet = writeFleet(folder, count, KINDS, false);
    const { profile, hosts, reports } = fleet;
    const html = join(folder, 'fleet.html');
    const expect = ['compare', '--expect', profile, '--hosts', hosts, reports, '--html', html];
    return take(fleet, await spentBy([process.execPath, CLI, ...expect]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What nobody can do without: reading the files and JSON. */
function parsedIn({ reports }: GeneratedFleet): number {
  const begin = performance.now();
  for (const name of readdirSync(reports)) JSON.parse(readFileSync(join(reports, name), 'utf8'));
  return performance.now() - begin;
}

export const fleetTime: Figure = {
  name: 'fleet',
  title: 'compare --expect, for a thousand reports',
  floor: 'reading their JSON',
  unit: 's',
  goal: { kind: 'none' },
  cost: 'seconds',
  runs: 3,
  sample: () => compared(1000, (fleet, { ms }) => ({ figure: ms / 1000, floor: parsedIn(fleet) / 1000 })),
};

export const fleetMemory: Figure = {
  name: 'fleet-memory',
  title: 'peak memory of compare --expect, 10,000 reports of 200 kinds',
  floor: '1,000 reports',
  unit: 'MiB',
  goal: { kind: 'ratio', most: 1.5 },
  cost: 'minutes',
  runs: 1,
  sample: async () => {
    const few = await compared(1000, (_, { peak }) => ({ figure: peak, floor: null }));
    const many = await compared(10_000, (_, { peak }) => ({ figure: peak, floor: null }));
    return { figure: many.figure, floor: few.figure };
  },
};
