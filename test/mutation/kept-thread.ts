/**
 * One thread for all runs of vitest: to start one and to load vitest in it takes longer than most mutants' tests. vitest makes a
 * worker anew for each of Stryker's runs, and asks it to stop; this one answers that it has, and goes on. fresh.ts says what
 * is loaded anew.
 */
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Plugin } from 'vite';
import type { PoolOptions, PoolWorker, WorkerRequest, WorkerResponse } from 'vitest/node';

const NAME = 'kept-thread';
/** vitest's own end of a worker leaves a listener in it for each of its lives. */
const MOST_RUNS = 200;

let thread: Worker | null = null;
let runs = 0;

class KeptThread implements PoolWorker {
  readonly name = NAME;
  readonly #options: PoolOptions;
  readonly #hears = new Set<(message: unknown) => void>();

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    runs += 1;
    if (runs % MOST_RUNS === 0) {
      await thread?.terminate();
      thread = null;
    }
    if (thread !== null) return;
    const { distPath, env, execArgv } = this.#options;
    thread = new Worker(resolve(distPath, 'workers/threads.js'), { env, execArgv, stdout: true, stderr: true });
    thread.setMaxListeners(0);
    thread.unref();
  }

  async stop(): Promise<void> {}

  on(event: string, callback: (message: unknown) => void): void {
    if (event === 'message') this.#hears.add(callback);
    threadHere().on(event, callback);
  }

  off(event: string, callback: (message: unknown) => void): void {
    this.#hears.delete(callback);
    threadHere().off(event, callback);
  }

  send(message: WorkerRequest): void {
    if (message.type !== 'stop') {
      threadHere().postMessage(message);
      return;
    }
    const stopped: WorkerResponse = { type: 'stopped', __vitest_worker_response__: true };
    queueMicrotask(() => {
      for (const hear of this.#hears) hear(stopped);
    });
  }

  deserialize(data: unknown): unknown {
    return data;
  }
}

function threadHere(): Worker {
  if (thread === null) throw new Error('the thread was not started');
  return thread;
}

export function keptThread(): Plugin {
  return {
    name: NAME,
    configureVitest({ project }) {
      project.config.pool = NAME;
      project.config.poolRunner = { name: NAME, createPoolWorker: (options) => new KeptThread(options) };
    },
  };
}
