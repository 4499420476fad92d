/** vCPUs, run in a thread of their own and stopped from outside at any moment. */
import { Worker } from 'node:worker_threads';
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { KVM_RUN_LAYOUT, createVcpu, vcpuMmapSize } from '../sys/kvm.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE, installKick, interruptThread } from '../sys/libc.ts';
import type { Port } from '../sys/port.ts';
import type { GuestArchitecture } from './arch/arch.ts';
import type { Machine } from './vm.ts';
import type { Exchange, FromVcpu, RunRequest, TrappedWindow, VcpuRun } from './vcpu-protocol.ts';

export interface Vcpu {
  readonly fd: number;
  readonly runAddress: bigint;
  readonly runLength: number;
}

export function addVcpu(port: Port, scope: Scope, machine: Machine, arch: GuestArchitecture, entry: bigint): Vcpu {
  const fd = createVcpu(port, machine.vm, 0);
  scope.defer(() => port.close(fd));
  const runLength = vcpuMmapSize(port, machine.kvm);
  const runAddress = port.mmap({
    length: BigInt(runLength),
    protection: PROT_READ | PROT_WRITE,
    flags: MAP_SHARED,
    fd,
    offset: 0n,
  });
  scope.defer(() => port.munmap(runAddress, BigInt(runLength)));
  arch.initVcpu(port, machine, fd, entry);
  return { fd, runAddress, runLength };
}

export interface RunOptions {
  readonly doorbell: bigint;
  readonly exchanges?: readonly Exchange[];
  readonly trapped?: readonly TrappedWindow[];
  readonly cells: RunRequest['cells'];
  readonly timeoutMs: number;
  readonly onConsole?: (text: string) => void;
  /** Ctrl-C. */
  readonly signal?: AbortSignal;
}

interface StartedWorker {
  readonly worker: Worker;
  /** The kernel's id of its thread, once it runs. */
  readonly thread: Promise<number>;
}

let startedAhead: StartedWorker | null = null;

function startWorker(): StartedWorker {
  // tsc rewrites import specifiers but not URLs, and this file runs both as TypeScript and compiled.
  const file = import.meta.url.endsWith('.ts') ? './vcpu-worker.ts' : './vcpu-worker.js';
  const worker = new Worker(new URL(file, import.meta.url));
  const thread = new Promise<number>((resolve, reject) => {
    worker.once('message', (message: FromVcpu) => {
      if (message.kind === 'ready') resolve(message.thread);
    });
    worker.once('error', reject);
  });
  return { worker, thread };
}

/** Starts the thread that the next VcpuThread will be, for whoever has time now and none later. */
export async function startThreadAhead(): Promise<void> {
  startedAhead ??= startWorker();
  await startedAhead.thread;
  // Whoever then has no use for it may end.
  startedAhead.worker.unref();
}

/** One thread serves many vCPUs, one after the other: starting it costs more than a bare guest's whole life. */
export class VcpuThread {
  readonly #worker: Worker;
  readonly #thread: Promise<number>;
  readonly #onProcessExit: () => void;
  #running: { vcpu: Vcpu; immediateExit: Uint8Array } | null = null;
  #tid: number | null = null;

  constructor() {
    installKick();
    const { worker, thread } = startedAhead ?? startWorker();
    startedAhead = null;
    worker.ref();
    this.#worker = worker;
    this.#thread = thread.then((tid) => (this.#tid = tid));
    this.#thread.catch(() => {});
    // With a vCPU spinning in KVM_RUN, process.exit() would wait for the thread for ever.
    this.#onProcessExit = () => this.#kick();
    process.on('exit', this.#onProcessExit);
  }

  /** The kernel's id of the thread. */
  id(): Promise<number> {
    return this.#thread;
  }

  /**
   * Runs until the guest is done, dies or is stopped.
   *
   * Throws E_GUEST_TIMEOUT when `timeoutMs` have passed, E_INTERRUPTED when `signal` aborts.
   */
  async run(
    port: Port,
    vcpu: Vcpu,
    { doorbell, exchanges = [], trapped = [], cells, timeoutMs, onConsole, signal }: RunOptions,
  ): Promise<VcpuRun> {
    await this.#thread;
    const immediateExit = new Uint8Array(port.view(vcpu.runAddress, vcpu.runLength)).subarray(
      KVM_RUN_LAYOUT.immediateExit,
      KVM_RUN_LAYOUT.immediateExit + 1,
    );
    this.#running = { vcpu, immediateExit };
    let stoppedBy: 'timeout' | 'signal' | null = null;
    const stop = (why: 'timeout' | 'signal'): void => {
      stoppedBy ??= why;
      this.#kick();
    };
    const onAbort = (): void => stop('signal');
    const timer = setTimeout(() => stop('timeout'), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) stop('signal');
    try {
      const result = await this.#finish(
        { vcpu: vcpu.fd, runAddress: vcpu.runAddress, runLength: vcpu.runLength, doorbell, exchanges, trapped, cells },
        onConsole,
      );
      if (result.exit.kind === 'interrupted') throw stopped(stoppedBy, timeoutMs);
      return result;
    } finally {
      this.#running = null;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #finish(request: RunRequest, onConsole: ((text: string) => void) | undefined): Promise<VcpuRun> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: FromVcpu): void => {
        if (message.kind === 'console') onConsole?.(message.text);
        if (message.kind !== 'exit') return;
        this.#worker.off('message', onMessage);
        this.#worker.off('error', reject);
        resolve(message.run);
      };
      this.#worker.on('message', onMessage);
      this.#worker.on('error', reject);
      this.#worker.postMessage(request);
    });
  }

  /**
   * Both steps are needed: the signal alone is lost when it arrives before the entry into KVM_RUN, and the flag alone
   * never ends a KVM_RUN that is under way.
   */
  #kick(): void {
    if (this.#running === null || this.#tid === null) return;
    this.#running.immediateExit[0] = 1;
    interruptThread(this.#tid);
  }

  async close(): Promise<void> {
    this.#kick();
    process.off('exit', this.#onProcessExit);
    await this.#worker.terminate();
  }
}

function stopped(by: 'timeout' | 'signal' | null, timeoutMs: number): WcvmmError {
  if (by === 'timeout')
    return new WcvmmError(
      'E_GUEST_TIMEOUT',
      `the guest did not end within ${timeoutMs / 1000} s and was stopped. If it needs longer, give --timeout.`,
    );
  return new WcvmmError(
    'E_INTERRUPTED',
    'interrupted; the guest was stopped and everything that it used was released.',
  );
}
