/** A bare guest on this machine's own KVM, as a whole process. */
import { accessSync, constants } from 'node:fs';
import type { Figure, Sample } from '../figure.ts';
import { CLI, spentBy } from '../spend.ts';
import type { Spent } from '../spend.ts';

const GUEST = process.arch === 'arm64' ? 'arm64-tests/build/guest.elf' : 'x86-tests/build/guest.elf';
const RUN = [process.execPath, CLI, 'run', '--source', 'memory', GUEST];
const NOTHING = [process.execPath, '-e', '0'];

export function whyNoKvm(): string | null {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return 'this machine has no KVM that this user may use';
  }
}

async function beside(part: keyof Spent): Promise<Sample> {
  const [floor, figure] = [await spentBy(NOTHING), await spentBy(RUN)];
  return { figure: figure[part], floor: floor[part] };
}

export const nativeRun: Figure = {
  name: 'run',
  title: 'native run of a bare guest, whole process',
  floor: 'node -e 0',
  unit: 'ms',
  goal: { kind: 'ratio', most: 2 },
  cost: 'seconds',
  runs: 21,
  whyNot: whyNoKvm,
  sample: () => beside('ms'),
};

export const cpuOfRun: Figure = {
  ...nativeRun,
  name: 'run-cpu',
  title: 'CPU time of that run',
  sample: () => beside('cpu'),
};

export const peakMemory: Figure = {
  name: 'memory',
  title: 'peak memory of that run',
  floor: 'node -e 0',
  unit: 'MiB',
  goal: { kind: 'ratio', most: 1.5 },
  cost: 'seconds',
  runs: 5,
  whyNot: whyNoKvm,
  sample: () => beside('peak'),
};
