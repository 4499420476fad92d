/**
 * The machine of a bare guest: RAM, a doorbell, windows, and one vCPU that starts at the image's entry with the address of
 * RAM in its first register. Where a guest finds things, in guest-physical bytes; alike on every architecture:
 *
 *   0x0_0900_0000   doorbell
 *   0x0_4000_0000   RAM, up to 3 GiB
 *   0x1_0000_0000   windows, up to the guest's 39 bits
 */
import type { Scope } from '../../common/scope.ts';
import { scoped } from '../../common/scope.ts';
import { loadImage } from '../boot/elf.ts';
import type { ElfImage } from '../boot/elf.ts';
import type { DeviceDescription } from '../bus/device.ts';
import { RingReader, newRing } from '../devices/console-ring.ts';
import type { TakeOutput } from '../devices/console-ring.ts';
import { doorbellAt } from '../devices/doorbell.ts';
import { trappedAt } from '../devices/trapped.ts';
import type { KvmArchitecture } from '../kvm/arch/arch.ts';
import { requireArchitecture } from '../kvm/arch/index.ts';
import { runVcpus } from '../kvm/run-vcpus.ts';
import type { VcpusRequest, VcpusRun } from '../kvm/run-vcpus.ts';
import { addVcpu } from '../kvm/vcpu.ts';
import type { VcpuRunner } from '../kvm/vcpu-runner.ts';
import { createVm } from '../kvm/vm.ts';
import type { Vm } from '../kvm/vm.ts';
import { expectAnswers } from '../memory/answers.ts';
import type { GuestWindow } from '../memory/guest-window.ts';
import { addRam, allocateRam } from '../memory/ram.ts';
import type { GuestRam } from '../memory/ram.ts';
import { libcPort } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';

export const BARE_MAP = {
  doorbell: 0x0900_0000n,
  ramBase: 0x4000_0000n,
  windowBase: 0x1_0000_0000n,
  /** First gpa that a guest cannot address. */
  gpaLimit: 1n << 39n,
} as const;

export interface BareMachine {
  /** Runs the vCPU; one can serve many machines, one after the other. */
  readonly thread: VcpuRunner;
  readonly port?: Port;
  /** Default: this machine's. */
  readonly arch?: KvmArchitecture;
  readonly image: ElfImage;
  /** Bytes, whole pages, at most 3 GiB. */
  readonly ramLength: bigint;
  readonly windows: readonly GuestWindow[];
  /** Let the guest use MTE: KVM then refuses windows that are BARs. */
  readonly mte?: boolean;
  /** Beside the doorbell and the trapped windows. */
  readonly devices?: readonly DeviceDescription[];
  /** Guest-physical address of a 32-bit word in RAM, and its largest value: as BusLockLabel. */
  readonly busLockLabel?: { readonly gpa: bigint; readonly most: number };
  readonly timeoutMs: number | null;
  readonly signal?: AbortSignal;
  /** The guest's output as it comes. */
  readonly onConsole?: TakeOutput;
  /** Called once the image is in RAM, before the VM has it: for what the guest shall find there, and for a device's DMA. */
  readonly onRam?: (ram: GuestRam) => void;
  /** KVM_RUN has failed for good. The VM still lives, and `again` enters the vCPU once more, which makes the same access. */
  readonly onKilled?: (vm: StartedVm, again: () => Promise<VcpusRun>) => Promise<void>;
}

/** A VM that has not run yet. */
export interface StartedVm {
  readonly debugName: string;
  /** Id of the thread in which KVM will run the vCPU, and make its stage-2 entries. */
  readonly vcpuThread: number;
}

export interface BareRun<T> extends Omit<VcpusRun, 'busLocks'> {
  /** null: this KVM does not tell. */
  readonly busLocks: VcpusRun['busLocks'] | null;
  /** Accesses that were exits, by window; 0 for one that is mapped. */
  readonly windowExits: readonly number[];
  readonly seen: T;
}

/** Called before the guest's first instruction; what it returns is called after the last, while the VM lives. */
export type Watch<T> = (scope: Scope, vm: StartedVm) => Promise<(ram: GuestRam) => T>;

/**
 * One run of a bare guest: a new VM, its memslots, one vCPU, and nothing left.
 *
 * Throws E_NO_KVM, E_PERMISSION, E_MEMSLOT, E_GUEST_RAM, and as runVcpus does; SysError EINVAL for `mte` where KVM has none.
 */
export function runBare(machine: BareMachine): Promise<BareRun<null>>;
export function runBare<T>(machine: BareMachine, watch: Watch<T>): Promise<BareRun<T>>;
export function runBare(machine: BareMachine, watch: Watch<unknown> = watchNothing): Promise<BareRun<unknown>> {
  const { image, windows, thread, timeoutMs, signal, onConsole = () => {}, busLockLabel } = machine;
  const { port = libcPort, arch = requireArchitecture() } = machine;
  return scoped(async (asyncScope) => {
    const scope = asyncScope.inner();
    const vm = createVm(port, scope, { mte: machine.mte === true });
    const exits = arch.enableExits(port, vm);
    const ram = allocateRam(port, scope, [{ gpa: BARE_MAP.ramBase, length: machine.ramLength }]);
    loadImage(ram, image);
    machine.onRam?.(ram);
    addRam(vm.slots, ram);
    const trapped = attachWindows(vm, windows);
    const vcpu = addVcpu(port, scope, vm);
    arch.initBareVcpu(port, vm, vcpu.fd, { entry: image.entry, argument: BARE_MAP.ramBase });
    const started = { debugName: vm.debugName, vcpuThread: await thread.id() };
    const look = await watch(scope, started);
    const ring = newRing();
    const console = new RingReader(ring, onConsole);
    const requireAnswers = expectAnswers(port);
    const entry: VcpusRequest = {
      vcpus: [{ vcpu, thread }],
      devices: [doorbellAt(Number(BARE_MAP.doorbell), ring), ...trapped.devices, ...(machine.devices ?? [])],
      busLockLabel:
        busLockLabel === undefined ? null : { address: ram.address(busLockLabel.gpa), most: busLockLabel.most },
      onPause: () => console.room(),
      timeoutMs,
      ...(signal && { signal }),
    };
    const run = await runVcpus(port, entry)
      .then(async (ended) => {
        if (ended.exit.kind === 'killed') await machine.onKilled?.(started, () => runVcpus(port, entry));
        return ended;
      })
      .finally(() => vm.slots.end())
      .catch((error: unknown) => {
        console.abandon();
        throw error;
      });
    await console.end();
    requireAnswers();
    return {
      ...run,
      busLocks: exits.busLocks ? run.busLocks : null,
      windowExits: trapped.exits(),
      seen: look?.(ram) ?? null,
    };
  });
}

function watchNothing(): Promise<() => null> {
  return Promise.resolve(() => null);
}

function attachWindows(
  vm: Vm,
  windows: readonly GuestWindow[],
): { readonly devices: readonly DeviceDescription[]; exits(): number[] } {
  const counts = windows.map(() => new SharedArrayBuffer(4));
  const devices = windows.flatMap(({ gpa, mapping: { address, length }, access }, index): DeviceDescription[] => {
    const exits = counts[index];
    if (access === 'mapped' || exits === undefined) return [];
    return [trappedAt({ gpa, length, address, exits })];
  });
  for (const { gpa, mapping, access } of windows) if (access === 'mapped') vm.slots.add(gpa, mapping);
  return { devices, exits: () => counts.map((count) => new Uint32Array(count)[0] ?? 0) };
}
