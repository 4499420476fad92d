/** What the VMM's own loop adds to an exit: the same guest as bench/c/exits.c. */
import { scoped } from '../../common/scope.ts';
import type { DeviceModule } from '../../vmm/bus/device.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { MainThreadRunner } from '../../vmm/kvm/main-thread-runner.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import type { Figure } from '../figure.ts';
import { outputOf, program } from '../spend.ts';
import { whyNoKvm } from './native-run.ts';

const EXITS = 100_000;
const DEVICE = Number(BARE_MAP.doorbell);

/** A store is lost, and one to the second register is the end. */
const lost: DeviceModule = {
  url: 'bench:lost',
  createDevice: () => ({ write: (offset) => (offset === 0 ? null : { kind: 'done', status: 0 }) }),
};

function le32(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

const CODE = Uint8Array.from([0xb9, le32(EXITS), 0xa3, le32(DEVICE), 0x49, 0x75, 0xf8, 0xa3, le32(DEVICE + 8)].flat());

/** CPU microseconds for each exit. */
async function ofOurs(): Promise<number> {
  return scoped(async (ends) => {
    const scope = ends.inner();
    const vm = createVm(libcPort, scope);
    const ram = allocateRam(libcPort, scope, [{ gpa: BARE_MAP.ramBase, length: 65_536n }]);
    ram.write(BARE_MAP.ramBase, CODE);
    addRam(vm.slots, ram);
    const vcpu = addVcpu(libcPort, scope, vm);
    requireArchitecture().initBareVcpu(libcPort, vm, vcpu.fd, { entry: BARE_MAP.ramBase, argument: 0n });
    const device = { space: 'mmio', base: DEVICE, size: 16, module: lost.url, options: null } as const;
    const before = process.cpuUsage();
    await runVcpus(libcPort, {
      vcpus: [{ vcpu, thread: new MainThreadRunner([lost]) }],
      devices: [device],
      timeoutMs: null,
    });
    const { user, system } = process.cpuUsage(before);
    return (user + system) / EXITS;
  });
}

export const exits: Figure = {
  name: 'exits',
  title: 'CPU time of one MMIO exit',
  floor: 'the same in C',
  unit: 'µs',
  goal: { kind: 'more', most: 0.5 },
  cost: 'seconds',
  runs: 7,
  whyNot: () => (process.arch === 'x64' ? whyNoKvm() : 'its guest is one of x86'),
  sample: async () => {
    const floor = Number(await outputOf(await program('exits'), [String(EXITS)])) / 1000;
    return { figure: await ofOurs(), floor };
  },
};
