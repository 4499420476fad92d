/** Enters the guest again and again, and gives what it asks of devices to the buses, until an exit is the last. */
import type { Buses } from '../bus/build.ts';
import { KVM_EXIT, KVM_EXIT_IO_OUT, KVM_RUN, KVM_RUN_LAYOUT, KVM_RUN_X86_BUS_LOCK } from '../sys/kvm.ts';
import { ERRNO } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { readLastExit, readRefusal } from './exits.ts';
import type { VcpuExit } from './exits.ts';
import type { BusLocks, RunRequest, VcpuRun } from './vcpu-protocol.ts';

const HIGH_WORD = 2 ** 32;

/** @param state struct kvm_run, mapped */
export function runVcpu(port: Port, request: RunRequest, state: DataView, buses: Buses): VcpuRun {
  const vcpu = new RunningVcpu(port, request, state, buses);
  const exit = vcpu.run();
  return { exit, busLocks: vcpu.busLocks() };
}

/** Whether somebody wants the vCPU to stop. @param state struct kvm_run */
export function isStopping(state: DataView): boolean {
  return state.getUint8(KVM_RUN_LAYOUT.immediateExit) !== 0;
}

/** A vCPU with what serves its exits. */
export class RunningVcpu {
  readonly #port: Port;
  readonly #fd: number;
  readonly #state: DataView;
  readonly #buses: Buses;
  /** Where struct kvm_run has an access's bytes. */
  readonly #data: DataView;
  readonly #label: Uint32Array | null;
  readonly #mostLabel: number;
  readonly #busLocks = new Map<number, number>();

  constructor(
    port: Port,
    { vcpu, busLockLabel }: Pick<RunRequest, 'vcpu' | 'busLockLabel'>,
    state: DataView,
    buses: Buses,
  ) {
    this.#port = port;
    this.#fd = vcpu;
    this.#state = state;
    this.#buses = buses;
    this.#data = new DataView(state.buffer, state.byteOffset + KVM_RUN_LAYOUT.mmio.data, 8);
    this.#label = busLockLabel === null ? null : new Uint32Array(port.view(busLockLabel.address, 4));
    this.#mostLabel = busLockLabel?.most ?? 0;
  }

  run(): VcpuExit {
    for (;;) {
      const exit = this.#enter() ?? this.#serve();
      if (exit !== null) return exit;
    }
  }

  /** Until an exit that is the last, or a signal comes, or so many exits were served: null then, and it can go on. */
  runSlice(most: number): VcpuExit | null {
    for (let served = 0; served < most; served += 1) {
      const result = this.#port.tryIoctl(this.#fd, KVM_RUN, 0);
      if (wasInterrupted(result)) return isStopping(this.#state) ? { kind: 'interrupted' } : null;
      const exit = result < 0 ? readRefusal(this.#state, -result) : this.#serve();
      if (exit !== null) return exit;
    }
    return null;
  }

  busLocks(): readonly BusLocks[] {
    return [...this.#busLocks].map(([label, count]) => ({ label, count }));
  }

  /** One KVM_RUN; null unless it failed for good. */
  #enter(): VcpuExit | null {
    for (;;) {
      const result = this.#port.tryIoctl(this.#fd, KVM_RUN, 0);
      if (result >= 0) return null;
      if (!wasInterrupted(result)) return readRefusal(this.#state, -result);
      // Any signal of the process can end up on this thread; only the one that set the flag means to stop the guest.
      if (isStopping(this.#state)) return { kind: 'interrupted' };
    }
  }

  /** What the exit asks for; null when the guest can go on. */
  #serve(): VcpuExit | null {
    const reason = this.#state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
    const flags = this.#state.getUint16(KVM_RUN_LAYOUT.flags, true);
    if (reason === KVM_EXIT.x86BusLock || (flags & KVM_RUN_X86_BUS_LOCK) !== 0) this.#countBusLock();
    switch (reason) {
      case KVM_EXIT.mmio:
        return this.#serveMemory();
      case KVM_EXIT.io:
        return this.#servePort();
      case KVM_EXIT.x86BusLock:
        return null;
      case KVM_EXIT.intr:
        return isStopping(this.#state) ? { kind: 'interrupted' } : null;
      default:
        return readLastExit(this.#state, (address) => this.#buses.mmio.has(Number(address)));
    }
  }

  #serveMemory(): VcpuExit | null {
    const { mmio } = KVM_RUN_LAYOUT;
    const state = this.#state;
    const address = state.getUint32(mmio.address, true) + state.getUint32(mmio.address + 4, true) * HIGH_WORD;
    const isWrite = state.getUint8(mmio.isWrite) !== 0;
    return this.#buses.mmio.access(address, state.getUint32(mmio.length, true), isWrite, this.#data);
  }

  /** A string instruction comes as many elements at one port. */
  #servePort(): VcpuExit | null {
    const { io } = KVM_RUN_LAYOUT;
    const state = this.#state;
    const [port, size] = [state.getUint16(io.port, true), state.getUint8(io.size)];
    const isWrite = state.getUint8(io.direction) === KVM_EXIT_IO_OUT;
    const start = state.byteOffset + Number(state.getBigUint64(io.data, true));
    const count = state.getUint32(io.count, true);
    for (let element = 0; element < count; element += 1) {
      const data = new DataView(state.buffer, start + element * size, size);
      const exit = this.#buses.pio.access(port, size, isWrite, data);
      if (exit !== null) return exit;
    }
    return null;
  }

  #countBusLock(): void {
    const said = this.#label?.[0] ?? 0;
    const label = said <= this.#mostLabel ? said : 0;
    this.#busLocks.set(label, (this.#busLocks.get(label) ?? 0) + 1);
  }
}

/** @param result of KVM_RUN */
function wasInterrupted(result: number): boolean {
  return result === -ERRNO.EINTR || result === -ERRNO.EAGAIN;
}
