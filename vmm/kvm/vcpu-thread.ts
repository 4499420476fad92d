/** A thread that runs vCPUs, and can be stopped from outside at any moment. */
import { Worker } from 'node:worker_threads';
import { WcvmmError } from '../../common/errors.ts';
import { busErrorTable } from '../sys/bus-error/catch.ts';
import { KVM_RUN_LAYOUT } from '../sys/kvm.ts';
import { installKick, interruptThread } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import type { DeviceDescription } from '../bus/device.ts';
import { moduleBeside } from '../bus/shared.ts';
import { failedDevice } from './device-failure.ts';
import type { FromVcpu, PrepareRequest, RunRequest, VcpuRun } from './vcpu-protocol.ts';
import type { VcpuRunOptions, VcpuRunner } from './vcpu-runner.ts';
import type { Vcpu } from './vcpu.ts';

interface StartedWorker {
  readonly worker: Worker;
  /** The kernel's id of its thread, once it runs. */
  readonly thread: Promise<number>;
}

function startWorker(): StartedWorker {
  const worker = new Worker(new URL(moduleBeside(import.meta.url, 'vcpu-worker')));
  const thread = new Promise<number>((resolve, reject) => {
    worker.once('message', (message: FromVcpu) => {
      if (message.kind === 'ready') resolve(message.thread);
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with code ${code} before it was ready`)));
  });
  thread.catch(() => {});
  return { worker, thread };
}

interface Running {
  /** The byte in struct kvm_run; null while it only prepares. */
  readonly immediateExit: Uint8Array | null;
  readonly resolve: (run: VcpuRun | null) => void;
  readonly reject: (error: WcvmmError) => void;
}

/** One thread serves many vCPUs, one after the other: starting it costs more than a bare guest's whole run. */
export class VcpuThread implements VcpuRunner {
  readonly #worker: Worker;
  readonly #thread: Promise<number>;
  readonly #prepared = new Set<string>();
  #running: Running | null = null;
  #id: number | null = null;
  #dead: WcvmmError | null = null;

  constructor() {
    installKick();
    const { worker, thread } = startWorker();
    this.#worker = worker;
    this.#thread = thread.then((id) => (this.#id = id));
    this.#thread.catch(() => {});
    worker.on('message', (message: FromVcpu) => this.#hear(message));
    worker.on('error', (error) => this.#die(error));
    worker.on('exit', (code) => this.#die(new Error(`it ended with code ${code}`)));
    if (threads.size === 0) process.on('exit', kickAll);
    threads.add(this);
  }

  async id(): Promise<number> {
    try {
      return await this.#thread;
    } catch (error) {
      throw this.#dead ?? deadThread(error);
    }
  }

  async run(
    port: Port,
    vcpu: Vcpu,
    { devices, unserved = 'exit', busLockLabel = null }: VcpuRunOptions,
  ): Promise<VcpuRun> {
    // Without a pause where none is needed: a kick right after the call must find the vCPU.
    if (this.#id === null) await this.id();
    if (this.#dead !== null) throw this.#dead;
    if (this.#running !== null) throw new RangeError('the thread runs a vCPU already');
    const state = new Uint8Array(port.view(vcpu.runAddress, vcpu.runLength));
    const at = KVM_RUN_LAYOUT.immediateExit;
    const immediateExit = state.subarray(at, at + 1);
    // What stopped it before must not stop it again.
    immediateExit[0] = 0;
    const { runAddress, runLength } = vcpu;
    const request: RunRequest = {
      vcpu: vcpu.fd,
      runAddress,
      runLength,
      devices,
      unserved,
      busLockLabel,
      busErrors: busErrorTable(),
    };
    const run = await this.#ask(request, immediateExit);
    if (run === null) throw new RangeError('the thread has not run the vCPU');
    return run;
  }

  async prepare(devices: readonly DeviceDescription[]): Promise<void> {
    const unknown = devices.filter(({ module }) => !this.#prepared.has(module));
    if (unknown.length === 0) return;
    for (const { module } of unknown) this.#prepared.add(module);
    await this.id();
    await this.#ask({ prepare: devices }, null);
  }

  #ask(request: RunRequest | PrepareRequest, immediateExit: Uint8Array | null): Promise<VcpuRun | null> {
    return new Promise((resolve, reject) => {
      this.#running = { immediateExit, resolve, reject };
      this.#worker.postMessage(request);
    });
  }

  /**
   * Stops the vCPU that runs; nothing otherwise. Both steps are needed: the signal alone is lost when it arrives before the
   * entry into KVM_RUN, and the flag alone never ends a KVM_RUN that is under way.
   */
  kick(): void {
    const flag = this.#running?.immediateExit ?? null;
    if (flag === null || this.#id === null) return;
    flag[0] = 1;
    interruptThread(this.#id);
  }

  /** Ends the thread; a run that is under way rejects with E_VCPU. */
  async close(): Promise<void> {
    this.kick();
    threads.delete(this);
    if (threads.size === 0) process.off('exit', kickAll);
    await this.#worker.terminate();
  }

  #hear(message: FromVcpu): void {
    const running = this.#running;
    if (message.kind === 'ready' || running === null) return;
    this.#running = null;
    if (message.kind === 'prepared') running.resolve(null);
    else if (message.kind === 'exit') running.resolve(message.run);
    else running.reject(failedDevice(message.error));
  }

  #die(cause: Error): void {
    this.#dead ??= deadThread(cause);
    // Its id may be another thread's by the next kick.
    this.#id = null;
    const running = this.#running;
    this.#running = null;
    running?.reject(this.#dead);
  }
}

/** Those that are not closed. */
const threads = new Set<VcpuThread>();

/** With a vCPU spinning in KVM_RUN, process.exit() would wait for the thread for ever. */
function kickAll(): void {
  for (const thread of threads) thread.kick();
}

function deadThread(cause: unknown): WcvmmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WcvmmError(
    'E_VCPU',
    `the thread that runs the vCPU died (${why}); expected it to run until it was told to end. Is the machine out of memory? --debug shows where.`,
    { cause },
  );
}
