/** Thousands of host mappings and memslots: the same as bench/c/mappings.c, through the VMM's own modules. */
import { scoped } from '../../common/scope.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { mapPlaced } from '../../vmm/memory/mapping.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import type { Figure } from '../figure.ts';
import { outputOf, program } from '../spend.ts';
import { whyNoKvm } from './native-run.ts';

const PAGE = 4096n;
const MANY = 10_000;

/** CPU milliseconds: to wait for other CPUs, as KVM does for each memslot, says more of them than of this. */
async function ofOurs(count: number): Promise<number> {
  return scoped(async (ends) => {
    const scope = ends.inner();
    const vm = createVm(libcPort, scope);
    const fd = libcPort.memfd('mappings', BigInt(count) * PAGE);
    scope.defer(() => libcPort.close(fd));
    const before = process.cpuUsage();
    for (let at = 0n; at < BigInt(count); at += 1n) {
      const gpa = 0x1_0000_0000n + 2n * at * PAGE;
      const placement = { gpa, length: PAGE, alignment: PAGE, phase: 0n };
      vm.slots.add(gpa, mapPlaced(libcPort, scope, { fd, offset: at * PAGE, length: PAGE }, placement));
    }
    const { user, system } = process.cpuUsage(before);
    // No guest has run: they may go with the VM, which takes less time than one after the other.
    vm.slots.end();
    return (user + system) / 1000;
  });
}

export const mappings: Figure = {
  name: 'mappings',
  title: 'CPU time of 10,000 mappings and memslots',
  floor: 'the same in C',
  unit: 'ms',
  goal: { kind: 'ratio', most: 1.3 },
  cost: 'seconds',
  runs: 7,
  whyNot: whyNoKvm,
  sample: async () => {
    const floor = Number(await outputOf(await program('mappings'), [String(MANY)])) / 1e6;
    return { figure: await ofOurs(MANY), floor };
  },
};

export const linear: Figure = {
  name: 'linear',
  title: 'CPU time of 10,000 mappings and memslots',
  floor: 'twice 5,000',
  unit: 'ms',
  goal: { kind: 'ratio', most: 1.3 },
  cost: 'seconds',
  runs: 7,
  whyNot: whyNoKvm,
  sample: async () => ({ floor: 2 * (await ofOurs(MANY / 2)), figure: await ofOurs(MANY) }),
};
