/** What wcvmm costs in an emulated instance. Seconds there are no hardware's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure, Sample } from '../figure.ts';
import { CLI, outputOf, spentBy } from '../spend.ts';

/** Seconds of a command there; the first of each only warms the disk's cache. */
const SCRIPT = `spent() {
	read -r before _ </proc/uptime
	"$@" >/dev/null 2>&1 || echo "failed: $*"
	read -r after _ </proc/uptime
	echo "$before $after"
}
node -e 0; wcvmm --version >/dev/null
for i in 1 2 3 4 5; do
	spent node -e 0
	spent wcvmm --version
done
`;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function versionInside(): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-bench-'));
  try {
    const script = join(folder, 'spent.sh');
    await writeFile(script, SCRIPT);
    const inside = ['testbed', 'exec', '--arch', 'arm64', '--input', script, '--', 'sh', 'spent.sh'];
    const spent = (await outputOf(process.execPath, [CLI, ...inside]))
      .trim()
      .split('\n')
      .map((line) => {
        const [before = Number.NaN, after = Number.NaN] = line.split(' ').map(Number);
        return after - before;
      });
    const every = (first: number): readonly number[] => spent.filter((_, index) => index % 2 === first);
    return { floor: median(every(0)), figure: median(every(1)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export const versionInInstance: Figure = {
  name: 'version',
  title: 'wcvmm --version in the arm64 instance',
  floor: 'node -e 0 there',
  unit: 's',
  goal: { kind: 'ratio', most: 2.5 },
  cost: 'minutes',
  runs: 3,
  sample: versionInside,
};

async function seconds(args: readonly string[], part: 'ms' | 'cpu'): Promise<number> {
  return (await spentBy([process.execPath, CLI, ...args]))[part] / 1000;
}

function verdict(machine: string, most: number): readonly Figure[] {
  const [nothing, verify] = [
    ['testbed', 'exec', '--arch', machine, '--', 'true'],
    ['verify', '--testbed', machine],
  ];
  const whole: Figure = {
    name: `verify-${machine}`,
    title: `verify --testbed ${machine}, warm`,
    floor: `testbed exec --arch ${machine} -- true`,
    unit: 's',
    goal: { kind: 'ratio', most },
    cost: 'minutes',
    runs: 3,
    sample: async () => ({ floor: await seconds(nothing, 'ms'), figure: await seconds(verify, 'ms') }),
  };
  return [
    whole,
    {
      ...whole,
      name: `verify-${machine}-cpu`,
      title: "CPU time of that, the emulator's too",
      sample: async () => ({ floor: await seconds(nothing, 'cpu'), figure: await seconds(verify, 'cpu') }),
    },
  ];
}

export const verdicts: readonly Figure[] = [
  ...verdict('arm64', 2),
  ...verdict('x86-amd', 2),
  ...verdict('x86-intel', 4),
];
