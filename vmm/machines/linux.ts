/** A machine that runs Linux: RAM, vCPUs, interrupt controllers, a serial port, and room for PCI devices. linux-map.ts draws it. */
import { WcvmmError } from '../../common/errors.ts';
import { scoped } from '../../common/scope.ts';
import type { AsyncScope, Scope } from '../../common/scope.ts';
import { formatSize } from '../../common/size.ts';
import type { DeviceDescription } from '../bus/device.ts';
import { RingReader, newRing } from '../devices/console-ring.ts';
import type { TakeOutput } from '../devices/console-ring.ts';
import { UartInput, newUart } from '../devices/uart.ts';
import { requireArchitecture } from '../kvm/arch/index.ts';
import type { VcpuExit } from '../kvm/exits.ts';
import { runVcpus } from '../kvm/run-vcpus.ts';
import { addVcpu } from '../kvm/vcpu.ts';
import type { Vcpu } from '../kvm/vcpu.ts';
import type { VcpuThread } from '../kvm/vcpu-thread.ts';
import { createVm } from '../kvm/vm.ts';
import type { Vm } from '../kvm/vm.ts';
import { ramAround } from '../memory/ranges.ts';
import { addRam, allocateRam } from '../memory/ram.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';
import { KVM_CAP, checkExtension } from '../sys/kvm.ts';
import { libcPort } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import type { LinuxArchitecture, LinuxKernel } from './linux-arch.ts';
import { LINUX_ARCHITECTURES } from './linux-arches.ts';
import type { LinuxMap } from './linux-map.ts';

export interface LinuxMachine {
  /** One for each vCPU: 1 to MOST_CPUS. */
  readonly threads: readonly VcpuThread[];
  readonly port?: Port;
  /** Default: this machine's. */
  readonly arch?: LinuxArchitecture;
  /** Default: the architecture's. */
  readonly map?: LinuxMap;
  readonly kernel: LinuxKernel;
  readonly initrd: Uint8Array | null;
  /** What follows what the machine itself needs. */
  readonly commandLine: string;
  /** Bytes, whole steps of RAM_STEP. */
  readonly ramLength: bigint;
  /** Guest-physical ranges where no RAM may be, since an IOMMU keeps those IOVAs. */
  readonly keptIovas?: readonly RamRange[];
  /** Called for each boot before the vCPUs run, in a scope that ends with it: for devices of the caller's. */
  readonly attach?: (
    scope: Scope,
    vm: Vm,
    ram: GuestRam,
  ) => readonly DeviceDescription[] | Promise<readonly DeviceDescription[]>;
  /** Called for each boot when the vCPUs have stopped, while the VM, its RAM and what `attach` made are still there. */
  readonly onStopped?: () => void;
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
  /** Where its reason is a WcvmmError, that is thrown. */
  readonly signal?: AbortSignal;
  /** The guest's console: null, there is none. */
  readonly console: LinuxConsole | null;
}

export interface LinuxConsole {
  readonly onOutput: TakeOutput;
  /** Called for each boot with what takes what is typed. */
  readonly onInput?: (input: UartInput) => void;
}

/** How a boot ended. A triple fault is how a PC resets when nothing else works; before it has said a word, a fault of the guest's. */
export type LinuxEnd =
  { readonly kind: 'power-off' } | { readonly kind: 'reset' } | { readonly kind: 'failed'; readonly exit: VcpuExit };

export const MOST_CPUS = 16;
/** Less than a person sees. */
const GATHER_OUTPUT_MS = 5;
/** The largest page of stage 2 that RAM of any size can have. */
export const RAM_STEP = 2n << 20n;

/**
 * One boot, from a new VM to its end. Nothing is left of it.
 *
 * Throws E_NO_KVM, E_PERMISSION, E_MEMSLOT, E_GUEST_RAM, E_GUEST_IMAGE, E_USAGE for a size, a number of vCPUs or a command
 * line that cannot be, and as runVcpus does.
 */
export function bootLinux(machine: LinuxMachine): Promise<LinuxEnd> {
  return scoped((ends) => boot(machine, ends));
}

async function boot(machine: LinuxMachine, ends: AsyncScope): Promise<LinuxEnd> {
  const { threads, port = libcPort, console, timeoutMs = null, signal } = machine;
  const arch = machine.arch ?? LINUX_ARCHITECTURES[requireArchitecture().name];
  const map = machine.map ?? arch.map;
  const scope = ends.inner();
  const vm = createVm(port, scope, { addressBits: map.bits });
  checkCpus(port, vm, threads.length);
  const ram = allocateRam(port, scope, ramRanges(machine.ramLength, map, machine.keptIovas ?? []));
  const controllers = arch.addControllers(port, scope, vm);
  const vcpus = threads.map((_, id) => addVcpu(port, scope, vm, id));
  const parameters = arch.parameters(port, vm, vcpus);
  const start = machine.kernel.load(ram, {
    commandLine: commandLineOf(machine, arch, parameters),
    initrd: machine.initrd,
    cpus: threads.length,
    pci: map.pci,
  });
  addRam(vm.slots, ram);
  arch.initVcpus(port, vm, vcpus, start);
  controllers.finish();
  const attached = (await machine.attach?.(scope, vm, ram)) ?? [];
  const ring = newRing();
  const uart = { state: newUart(), output: ring, line: controllers.serialLine };
  const serial = arch.serialPort(uart);
  let hasSpoken = false;
  const take = (bytes: Uint8Array): void | Promise<void> => {
    hasSpoken = true;
    return console?.onOutput(bytes);
  };
  const reader = new RingReader(ring, take, GATHER_OUTPUT_MS);
  const input = new UartInput(port, uart, serial.wants);
  console?.onInput?.(input);
  const devices = [...controllers.devices, serial.device, ...attached];
  const run = await runVcpus(port, {
    vcpus: pairs(vcpus, threads),
    devices,
    unserved: 'ones',
    timeoutMs,
    ...(signal && { signal }),
  })
    .catch((error: unknown) => {
      reader.abandon();
      throw signal?.reason instanceof WcvmmError ? signal.reason : error;
    })
    .finally(() => input.end());
  await reader.end();
  machine.onStopped?.();
  return endOf(run.exit, hasSpoken);
}

function pairs(
  vcpus: readonly Vcpu[],
  threads: readonly VcpuThread[],
): readonly { readonly vcpu: Vcpu; readonly thread: VcpuThread }[] {
  return threads.flatMap((thread, index) => {
    const vcpu = vcpus[index];
    return vcpu === undefined ? [] : [{ vcpu, thread }];
  });
}

function endOf(exit: VcpuExit, hasSpoken: boolean): LinuxEnd {
  if (exit.kind === 'system-event' && exit.event === 'shutdown') return { kind: 'power-off' };
  if (exit.kind === 'system-event' && exit.event === 'reset') return { kind: 'reset' };
  if (exit.kind === 'shutdown' && hasSpoken) return { kind: 'reset' };
  return { kind: 'failed', exit };
}

function commandLineOf(
  { console, commandLine }: LinuxMachine,
  arch: LinuxArchitecture,
  parameters: readonly string[],
): string {
  const own = [...(console === null ? [] : [`console=${arch.console}`]), ...parameters];
  return [...own, commandLine].filter((word) => word !== '').join(' ');
}

function checkCpus(port: Port, { vm }: Vm, count: number): void {
  const most = Math.min(checkExtension(port, vm, KVM_CAP.maxVcpus) || 4, MOST_CPUS);
  if (count >= 1 && count <= most) return;
  throw new WcvmmError(
    'E_USAGE',
    `${count} vCPUs are not what a guest can have here; expected 1 to ${most}, as in --cpus 2.`,
  );
}

/** Throws E_USAGE for a size that does not fit around the holes. */
function ramRanges(size: bigint, map: LinuxMap, kept: readonly RamRange[]): readonly RamRange[] {
  const { from, limit, holes } = map.ram;
  const ranges = ramAround(size, { from, limit, holes: [...holes, ...kept], step: RAM_STEP });
  if (ranges !== null && ranges[0]?.gpa === from) return ranges;
  throw new WcvmmError(
    'E_USAGE',
    `${formatSize(size)} of RAM do not fit into a guest of this machine${ranges === null ? '' : ', whose first addresses the IOMMU keeps'}. Give less with --memory.`,
  );
}
