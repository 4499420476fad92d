/** vCPUs that run side by side, on threads that are made up: who ends the run, and what becomes of the others. */
import { describe, expect, test } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import type { VcpuExit } from '../vmm/kvm/exits.ts';
import { runVcpus } from '../vmm/kvm/run-vcpus.ts';
import type { VcpusRequest, VcpusRun } from '../vmm/kvm/run-vcpus.ts';
import type { VcpuRun } from '../vmm/kvm/vcpu-protocol.ts';
import type { VcpuRunOptions, VcpuRunner } from '../vmm/kvm/vcpu-runner.ts';
import type { Vcpu } from '../vmm/kvm/vcpu.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const INTERRUPTED: VcpuRun = { exit: { kind: 'interrupted' }, busLocks: [] };

/** A thread whose run ends when the test says so, or when it is kicked. */
class MadeUpThread implements VcpuRunner {
  readonly calls: string[];
  readonly name: string;
  kicks = 0;
  options: VcpuRunOptions | null = null;
  readonly running: Promise<void>;
  #begun: () => void = () => {};
  #end: ((run: VcpuRun | Error) => void) | null = null;

  constructor(name: string, calls: string[]) {
    this.name = name;
    this.calls = calls;
    this.running = new Promise((resolve) => {
      this.#begun = resolve;
    });
  }

  id(): Promise<number> {
    this.calls.push(`${this.name} id`);
    return Promise.resolve(1);
  }

  prepare(): Promise<void> {
    this.calls.push(`${this.name} prepare`);
    return Promise.resolve();
  }

  run(_port: Port, _vcpu: Vcpu, options: VcpuRunOptions): Promise<VcpuRun> {
    this.calls.push(`${this.name} run`);
    this.options = options;
    this.#begun();
    return new Promise((resolve, reject) => {
      this.#end = (run) => (run instanceof Error ? reject(run) : resolve(run));
    });
  }

  end(run: Partial<VcpuRun> | Error): void {
    this.#end?.(run instanceof Error ? run : { ...INTERRUPTED, ...run });
  }

  kick(): void {
    this.kicks += 1;
    this.end(INTERRUPTED);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const DONE: VcpuExit = { kind: 'done', status: 3 } as VcpuExit;
const HALTED: VcpuExit = { kind: 'halted' };

interface Machine {
  readonly threads: readonly [MadeUpThread, MadeUpThread];
  readonly calls: readonly string[];
  readonly run: Promise<VcpusRun>;
}

/** Two vCPUs, both running. */
async function machine(change: Partial<VcpusRequest> = {}, port: Port = stubPort({}).port): Promise<Machine> {
  const calls: string[] = [];
  const threads = [new MadeUpThread('first', calls), new MadeUpThread('second', calls)] as const;
  const running = Promise.all(threads.map(({ running: one }) => one));
  const vcpu = {} as Vcpu;
  const run = runVcpus(port, {
    vcpus: threads.map((thread) => ({ vcpu, thread })),
    devices: [],
    timeoutMs: null,
    ...change,
  });
  run.catch(() => {});
  await running;
  return { threads, calls, run };
}

function onPause(): Promise<void> {
  return Promise.resolve();
}

describe('the run of a VM', () => {
  test('is ended by the first vCPU that ends it, and the other is stopped', async () => {
    const { threads, run } = await machine();
    const [first, second] = threads;
    second.end({ exit: DONE });
    expect((await run).exit).toEqual(DONE);
    expect(first.kicks).toBeGreaterThan(0);
  });

  test('goes on where one halts, and ends with the last', async () => {
    const { threads, run } = await machine();
    const [first, second] = threads;
    first.end({ exit: HALTED });
    await Promise.resolve();
    expect(second.kicks).toBe(0);
    second.end({ exit: HALTED });
    expect((await run).exit).toEqual(HALTED);
  });

  test('that one has ended after the other halted has that end', async () => {
    const { threads, run } = await machine();
    threads[0].end({ exit: HALTED });
    threads[1].end({ exit: DONE });
    expect((await run).exit).toEqual(DONE);
  });

  test('has the bus locks of all, by label', async () => {
    const { threads, run } = await machine();
    threads[0].end({ exit: HALTED, busLocks: [{ label: 1, count: 2 }] });
    threads[1].end({
      exit: DONE,
      busLocks: [
        { label: 1, count: 5 },
        { label: 0, count: 1 },
      ],
    });
    expect((await run).busLocks).toEqual([
      { label: 1, count: 7 },
      { label: 0, count: 1 },
    ]);
  });

  test('fails as the thread that failed first, once all have ended', async () => {
    const { threads, run } = await machine();
    threads[0].end(new Error('the first'));
    await expect(run).rejects.toThrow('the first');
    expect(threads[1].kicks).toBeGreaterThan(0);
  });

  test('begins on threads that are ready, with the devices’ modules where rights are given up', async () => {
    const { calls, threads, run } = await machine();
    expect(calls).toEqual(['first id', 'second id', 'first run', 'second run']);
    threads[0].end({ exit: DONE });
    await run;
    const order: string[] = [];
    const port = { ...stubPort({}).port, beforeEntry: () => void order.push('rights') };
    const confined = await machine({}, port);
    expect(confined.calls).toEqual([
      'first id',
      'second id',
      'first prepare',
      'second prepare',
      'first run',
      'second run',
    ]);
    expect(order).toEqual(['rights']);
    confined.threads[0].end({ exit: DONE });
    await confined.run;
  });

  test('tells each thread what is to be done, and nothing that nobody asked for', async () => {
    const plain = await machine();
    expect(plain.threads[0].options).toEqual({ devices: [], unserved: 'exit', busLockLabel: null });
    plain.threads[0].end({ exit: DONE });
    await plain.run;
    const busLockLabel = { address: 5n, most: 2 };
    const asked = await machine({ unserved: 'ignore' as VcpuRunOptions['unserved'] & string, busLockLabel, onPause });
    expect(asked.threads[1].options).toEqual({ devices: [], unserved: 'ignore', busLockLabel, onPause });
    asked.threads[0].end({ exit: DONE });
    await asked.run;
  });
});

async function stopped(reason: unknown): Promise<unknown> {
  const abort = new AbortController();
  const { run } = await machine({ signal: abort.signal });
  abort.abort(reason);
  return run.catch((error: unknown) => error);
}

describe('a run that is stopped', () => {
  test('because its time is over', async () => {
    const { run, threads } = await machine({ timeoutMs: 1 });
    await expect(run).rejects.toMatchObject({
      code: 'E_GUEST_TIMEOUT',
      message: 'the guest did not end within 0.001 s and was stopped. If it needs longer, give --timeout.',
    });
    expect(threads.map(({ kicks }) => kicks > 0)).toEqual([true, true]);
  });

  test('by Ctrl-C, and by another error than that', async () => {
    expect(await stopped(undefined)).toMatchObject({
      code: 'E_INTERRUPTED',
      message: 'interrupted; the guest was stopped and everything that it used was released.',
    });
    const other = new WcvmmError('E_DEVICE_LOST', 'gone');
    expect(await stopped(other)).toBe(other);
    const interrupted = new WcvmmError('E_INTERRUPTED', 'elsewhere');
    expect(await stopped(interrupted)).not.toBe(interrupted);
    expect(await stopped(interrupted)).toMatchObject({ code: 'E_INTERRUPTED' });
  });

  test('before it has begun', async () => {
    const { run } = await machine({ signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });

  test('but had ended, has ended', async () => {
    const abort = new AbortController();
    const { run, threads } = await machine({ signal: abort.signal });
    threads[0].end({ exit: DONE });
    abort.abort();
    expect((await run).exit).toEqual(DONE);
    // Nobody is kicked once it is over.
    const kicks = threads.map((thread) => thread.kicks);
    abort.signal.dispatchEvent(new Event('abort'));
    expect(threads.map((thread) => thread.kicks)).toEqual(kicks);
  });
});
