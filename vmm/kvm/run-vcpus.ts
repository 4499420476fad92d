import { WcvmmError } from '../../common/errors.ts';
import type { Unserved } from '../bus/bus.ts';
import type { DeviceDescription } from '../bus/device.ts';
import type { Port } from '../sys/port.ts';
import type { VcpuExit } from './exits.ts';
import type { BusLockLabel, BusLocks, VcpuRun } from './vcpu-protocol.ts';
import type { VcpuRunner } from './vcpu-runner.ts';
import type { Vcpu } from './vcpu.ts';

export interface VcpusRequest {
  /** Each vCPU with the thread that is to run it. */
  readonly vcpus: readonly { readonly vcpu: Vcpu; readonly thread: VcpuRunner }[];
  readonly devices: readonly DeviceDescription[];
  /** Default: it ends the run. */
  readonly unserved?: Unserved;
  readonly busLockLabel?: BusLockLabel | null;
  /** As in VcpuRunOptions. */
  readonly onPause?: () => Promise<void>;
  /** Milliseconds; null: no limit. */
  readonly timeoutMs: number | null;
  /** Ctrl-C. */
  readonly signal?: AbortSignal;
}

export interface VcpusRun {
  /** The exit that ended the VM's run. */
  readonly exit: VcpuExit;
  /** Of all vCPUs together. */
  readonly busLocks: readonly BusLocks[];
}

/**
 * Runs all vCPUs of a VM until one of them has an exit that no device serves; the others are stopped then. A vCPU that
 * halted without an interrupt controller leaves the others running, and ends the run as the last.
 *
 * Throws E_GUEST_TIMEOUT when `timeoutMs` have passed, E_INTERRUPTED when `signal` aborts, or its reason where that is another WcvmmError, E_VCPU when a thread dies.
 */
export async function runVcpus(port: Port, request: VcpusRequest): Promise<VcpusRun> {
  const { vcpus, devices, unserved = 'exit', busLockLabel = null, timeoutMs, signal, onPause } = request;
  let stoppedBy: 'timeout' | 'signal' | null = null;
  const stopAll = (): void => {
    for (const { thread } of vcpus) thread.kick();
  };
  const stop = (why: 'timeout' | 'signal'): void => {
    stoppedBy ??= why;
    stopAll();
  };
  const onAbort = (): void => stop('signal');
  // A thread that is not ready yet cannot be stopped.
  await Promise.all(vcpus.map(({ thread }) => thread.id()));
  if (port.beforeEntry !== undefined) {
    await Promise.all(vcpus.map(({ thread }) => thread.prepare(devices)));
    port.beforeEntry();
  }
  const timer = timeoutMs === null ? null : setTimeout(() => stop('timeout'), timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const runs = vcpus.map(({ vcpu, thread }) =>
      thread.run(port, vcpu, { devices, unserved, busLockLabel, ...(onPause && { onPause }) }),
    );
    if (signal?.aborted === true) stop('signal');
    const ended = await endsOf(runs, stopAll);
    const last = ended.find(({ exit }) => exit.kind !== 'interrupted' && exit.kind !== 'halted') ?? ended.at(-1);
    if (last === undefined || last.exit.kind === 'interrupted')
      throw stopped(stoppedBy, timeoutMs ?? 0, signal?.reason);
    return { exit: last.exit, busLocks: together(ended) };
  } finally {
    if (timer !== null) clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** In the order in which they ended. The first that ends the VM, or fails, stops the others; all have ended afterwards. */
async function endsOf(runs: readonly Promise<VcpuRun>[], stopAll: () => void): Promise<readonly VcpuRun[]> {
  const ended: VcpuRun[] = [];
  let failure: { readonly error: unknown } | null = null;
  const wait = async (run: Promise<VcpuRun>): Promise<void> => {
    try {
      const result = await run;
      ended.push(result);
      if (result.exit.kind !== 'halted') stopAll();
    } catch (error) {
      failure ??= { error };
      stopAll();
    }
  };
  await Promise.all(runs.map(wait));
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
  return ended;
}

function together(runs: readonly VcpuRun[]): readonly BusLocks[] {
  const counts = new Map<number, number>();
  for (const { label, count } of runs.flatMap(({ busLocks }) => busLocks)) {
    counts.set(label, (counts.get(label) ?? 0) + count);
  }
  return [...counts].map(([label, count]) => ({ label, count }));
}

function stopped(by: 'timeout' | 'signal' | null, timeoutMs: number, reason: unknown): WcvmmError {
  if (by === 'timeout') {
    return new WcvmmError(
      'E_GUEST_TIMEOUT',
      `the guest did not end within ${timeoutMs / 1000} s and was stopped. If it needs longer, give --timeout.`,
    );
  }
  if (reason instanceof WcvmmError && reason.code !== 'E_INTERRUPTED') return reason;
  return new WcvmmError(
    'E_INTERRUPTED',
    'interrupted; the guest was stopped and everything that it used was released.',
  );
}
