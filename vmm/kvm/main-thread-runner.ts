/**
 * One vCPU on the main thread, for a guest beside which nothing has to be done: to start a thread takes longer than a bare
 * guest's whole run. The guest runs in slices. A timer's signal ends each (KVM_RUN fails with EINTR), and between two the event
 * loop has its turn: timeouts, Ctrl-C and the console are served there.
 */
import { setImmediate } from 'node:timers/promises';
import { buildBuses, importModules } from '../bus/build.ts';
import type { Buses } from '../bus/build.ts';
import type { DeviceDescription, DeviceModule, VcpuContext } from '../bus/device.ts';
import { doorbellModule } from '../devices/doorbell.ts';
import { trappedModule } from '../devices/trapped.ts';
import { KVM_RUN_LAYOUT } from '../sys/kvm.ts';
import { startTicking, stopTicking, threadId } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import { failedDevice } from './device-failure.ts';
import { RunningVcpu, isStopping } from './vcpu-loop.ts';
import type { VcpuRun } from './vcpu-protocol.ts';
import type { VcpuRunOptions, VcpuRunner } from './vcpu-runner.ts';
import type { Vcpu } from './vcpu.ts';

/** Milliseconds of a slice at most: what a person, or a deadline, may have to wait. A signal of Ctrl-C ends a slice at once, but one that comes just before the entry into KVM_RUN does not. */
const SLICE = 50;

/** Exits of a slice at most: each writes a byte to the console at most, and half of its ring is free when a slice begins. */
const MOST_EXITS = 1 << 14;

interface Running {
  /** struct kvm_run. */
  readonly state: DataView;
  readonly kicked: Promise<void>;
  readonly onKick: () => void;
}

export class MainThreadRunner implements VcpuRunner {
  readonly #modules: readonly DeviceModule[];
  #running: Running | null = null;

  /** @param modules of devices, beside those of every bare machine: what is loaded already need not be imported */
  constructor(modules: readonly DeviceModule[] = []) {
    this.#modules = [doorbellModule, trappedModule, ...modules];
  }

  /** A turn of the event loop comes first: guests that end within a slice each would leave none for Ctrl-C between them. */
  async id(): Promise<number> {
    await setImmediate();
    return threadId();
  }

  async prepare(devices: readonly DeviceDescription[]): Promise<void> {
    const unknown = devices.filter(({ module }) => !this.#modules.some(({ url }) => url === module));
    await importModules(unknown).catch((error: unknown) => {
      throw failedDevice(error);
    });
  }

  async run(
    port: Port,
    vcpu: Vcpu,
    { devices, unserved = 'exit', busLockLabel = null, onPause = () => Promise.resolve() }: VcpuRunOptions,
  ): Promise<VcpuRun> {
    if (this.#running !== null) throw new RangeError('the main thread runs a vCPU already');
    const { fd, runAddress, runLength } = vcpu;
    const running = startRunning(new DataView(port.view(runAddress, runLength)));
    const { state } = running;
    this.#running = running;
    try {
      const buses = await this.#buses({ port, vcpu: fd, isStopping: () => isStopping(state) }, { devices, unserved });
      const loop = new RunningVcpu(port, { vcpu: fd, busLockLabel }, state, buses);
      for (;;) {
        const exit = slice(loop);
        if (exit !== null) return { exit, busLocks: loop.busLocks() };
        await setImmediate();
        await Promise.race([onPause(), running.kicked]);
      }
    } finally {
      this.#running = null;
    }
  }

  kick(): void {
    if (this.#running === null) return;
    // The guest is not in KVM_RUN now, or this would not run: its next entry fails at once.
    this.#running.state.setUint8(KVM_RUN_LAYOUT.immediateExit, 1);
    this.#running.onKick();
  }

  close(): Promise<void> {
    this.kick();
    return Promise.resolve();
  }

  async #buses(
    context: VcpuContext,
    { devices, unserved }: Pick<Required<VcpuRunOptions>, 'devices' | 'unserved'>,
  ): Promise<Buses> {
    try {
      return await buildBuses(context, devices, unserved, this.#modules);
    } catch (error) {
      throw failedDevice(error);
    }
  }
}

function nothing(): void {}

function startRunning(state: DataView): Running {
  // What stopped it before must not stop it again.
  state.setUint8(KVM_RUN_LAYOUT.immediateExit, 0);
  let onKick = nothing;
  const kicked = new Promise<void>((resolve) => (onKick = resolve));
  return { state, kicked, onKick };
}

/** Null: it can go on. The timer ticks only meanwhile: nobody else's system calls are to be interrupted. */
function slice(loop: RunningVcpu): ReturnType<RunningVcpu['runSlice']> {
  startTicking(SLICE);
  try {
    return loop.runSlice(MOST_EXITS);
  } catch (error) {
    throw failedDevice(error);
  } finally {
    stopTicking();
  }
}
