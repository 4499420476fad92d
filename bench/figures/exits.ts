/** What the VMM's own loop adds to an exit: the same guest as bench/c/exits.c, on the main thread and in a Linux guest's vCPU. */
import { AsyncScope, scoped } from '../../common/scope.ts';
import type { DeviceDescription } from '../../vmm/bus/device.ts';
import { moduleBeside } from '../../vmm/bus/shared.ts';
import { newRing } from '../../vmm/devices/console-ring.ts';
import { openPciHost } from '../../vmm/devices/pci/open.ts';
import { newUart } from '../../vmm/devices/uart.ts';
import { uart16550At } from '../../vmm/devices/uart-16550.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { MainThreadRunner } from '../../vmm/kvm/main-thread-runner.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import type { Vm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { LINUX_MAP } from '../../vmm/machines/linux-map.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import type { Scope } from '../../common/scope.ts';
import type { VcpuRunner } from '../../vmm/kvm/vcpu-runner.ts';
import type { Figure } from '../figure.ts';
import { outputOf, program } from '../spend.ts';
import { whyNoKvm } from './native-run.ts';
import { createDevice } from './lost.ts';

const EXITS = 100_000;
const DEVICE = Number(BARE_MAP.doorbell);
const LOST = moduleBeside(import.meta.url, 'lost');

function le32(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

const CODE = Uint8Array.from([0xb9, le32(EXITS), 0xa3, le32(DEVICE), 0x49, 0x75, 0xf8, 0xa3, le32(DEVICE + 8)].flat());

type More = (scope: Scope, vm: Vm) => readonly DeviceDescription[];

/** CPU microseconds for each exit. @param more what stands on the bus beside the one that is stored to */
async function ofOurs(thread: VcpuRunner, more: More): Promise<number> {
  return scoped(async (ends) => {
    const scope = ends.inner();
    const vm = createVm(libcPort, scope);
    const ram = allocateRam(libcPort, scope, [{ gpa: BARE_MAP.ramBase, length: 65_536n }]);
    ram.write(BARE_MAP.ramBase, CODE);
    addRam(vm.slots, ram);
    const vcpu = addVcpu(libcPort, scope, vm);
    requireArchitecture().initBareVcpu(libcPort, vm, vcpu.fd, { entry: BARE_MAP.ramBase, argument: 0n });
    const lost = { space: 'mmio', base: DEVICE, size: 16, module: LOST, options: null } as const;
    const devices = [lost, ...more(scope, vm)];
    const before = process.cpuUsage();
    await runVcpus(libcPort, { vcpus: [{ vcpu, thread }], devices, timeoutMs: null });
    const { user, system } = process.cpuUsage(before);
    return (user + system) / EXITS;
  });
}

async function ofC(): Promise<number> {
  return Number(await outputOf(await program('exits'), [String(EXITS)])) / 1000;
}

/** As in a machine for Linux, but for the interrupt controller, which the guest would need. */
const linuxDevices: More = (scope, { vm, slots }) => {
  const { ecam, memory32, memory64 } = LINUX_MAP.x86.pci;
  const range = ({ gpa, length }: typeof ecam): { base: number; size: number } => ({
    base: Number(gpa),
    size: Number(length),
  });
  const host = openPciHost(libcPort, scope, {
    vm,
    slots,
    windows: { low: range(memory32), high: range(memory64) },
    firstGsi: 64,
    fixedRoutes: [],
    hasIts: false,
    devices: [],
  });
  const line = { kind: 'gic', vm, spi: 0 } as const;
  const uart = uart16550At(0x3f8, { state: newUart(), output: newRing(), line });
  return [...host.descriptions(range(ecam).base, true), uart];
};

/** A Linux guest's exits come in its vCPU's own thread, which is warm when a guest is. */
async function inThread(): Promise<number> {
  const ends = new AsyncScope();
  try {
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    await ofOurs(thread, linuxDevices);
    return await ofOurs(thread, linuxDevices);
  } finally {
    await ends.close();
  }
}

const common = {
  floor: 'the same in C',
  unit: 'µs',
  goal: { kind: 'more', most: 0.5 },
  cost: 'seconds',
  runs: 7,
  whyNot: () => (process.arch === 'x64' ? whyNoKvm() : 'its guest is one of x86'),
} as const;

export const exits: Figure = {
  ...common,
  name: 'exits',
  title: 'CPU time of one MMIO exit',
  sample: async () => ({
    floor: await ofC(),
    figure: await ofOurs(new MainThreadRunner([{ url: LOST, createDevice }]), () => []),
  }),
};

export const linuxExits: Figure = {
  ...common,
  name: 'linux-exits',
  title: "the same in a Linux guest's vCPU, with its devices",
  sample: async () => ({ floor: await ofC(), figure: await inThread() }),
};
