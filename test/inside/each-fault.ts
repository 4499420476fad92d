/** Every step of a piece of work fails once, with each errno that the kernel could give there. A step is a system call at one place of the program. */
import { setImmediate } from 'node:timers/promises';
import { WcvmmError } from '../../common/errors.ts';
import { ERRNO, SysError } from '../../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../../vmm/sys/port.ts';
import { FaultyPort } from './faulty-port.ts';

/** By the call's first word. */
const PLAUSIBLE: Readonly<Record<string, readonly ErrnoName[]>> = {
  open: ['EACCES', 'ENOENT', 'EMFILE', 'ENODEV', 'EBUSY'],
  ioctl: ['EINVAL', 'ENOMEM', 'EBUSY', 'EIO', 'ENOTTY', 'EPERM'],
  mmap: ['ENOMEM', 'EINVAL', 'EBUSY', 'EAGAIN'],
  memfd: ['EMFILE', 'ENOMEM'],
  eventfd: ['EMFILE', 'ENOMEM'],
  pread: ['EIO', 'ENODEV', 'EINVAL'],
  pwrite: ['EIO', 'ENODEV', 'EINVAL'],
  read: ['EIO', 'EACCES', 'ENOENT', 'ENODEV'],
  write: ['EIO', 'EACCES', 'ENOSPC', 'EBUSY', 'ENODEV'],
  mkdir: ['EACCES', 'ENOSPC'],
  readdir: ['EACCES', 'ENOENT', 'EIO'],
  readlink: ['EACCES', 'EIO'],
  unlink: ['EACCES', 'ENOENT', 'EIO'],
};
const RUN = 'ioctl KVM_RUN';
const OTHERS: readonly ErrnoName[] = ['EIO', 'ENOMEM'];

interface Step {
  /** Where in the program. */
  readonly place: string;
  readonly call: string;
}

export interface EachFaultOptions {
  /** 'all': each step with each errno; 'once': with one of them, the next step with another. */
  readonly sweep: 'all' | 'once';
  /** False: work that goes on after a failure is stopped when it next enters a guest. */
  readonly toTheEnd?: boolean;
  /** Called after each failure: what else the work has left, a sentence each. */
  readonly left?: () => readonly string[];
}

export interface EachFault {
  readonly steps: number;
  readonly faults: number;
  /** How many of them ended the work; the others were of something that can be done without. */
  readonly ended: number;
  /** What should not be, a sentence each. */
  readonly wrong: readonly string[];
}

function place(): string {
  const depth = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = depth;
  return stack
    .split('\n')
    .slice(1)
    .filter((line) => !/faulty-port|each-fault|\(node:|at async /.test(line))
    .join('\n');
}

/** The innermost place of a step. */
function within(key: string): string {
  const [, innermost = ''] = key.split('\n');
  return innermost.trim().replace(/file:.*\/dist\//, '');
}

/** What an error says, its causes included. */
function saying(error: unknown): string {
  const own = error instanceof Error ? error.message : String(error);
  return error instanceof Error && error.cause !== undefined ? `${own} ${saying(error.cause)}` : own;
}

/** @param work has nothing left when it ends */
export async function eachFault(
  real: Port,
  work: (port: Port, signal: AbortSignal) => Promise<unknown>,
  { sweep, toTheEnd = false, left = () => [] }: EachFaultOptions,
): Promise<EachFault> {
  const steps = new Map<string, Step>();
  const whole = new FaultyPort(real, (call) => {
    const step = { place: place(), call };
    const key = `${step.call}\n${step.place}`;
    if (!steps.has(key)) steps.set(key, step);
    return null;
  });
  // Alone on the stack each time, so that a place is the same each time.
  await setImmediate();
  await work(whole.port, new AbortController().signal);
  const wrong: string[] = [];
  const look = (faulty: FaultyPort, what: string): void => {
    const { fds, mappings, memslots } = faulty.held();
    for (const one of [...fds, ...mappings, ...memslots, ...left()]) wrong.push(`${what}: ${one} is left`);
  };
  look(whole, 'nothing failed');
  let [faults, ended, number] = [0, 0, 0];
  for (const [key, { call }] of steps) {
    const names = PLAUSIBLE[call.split(' ')[0] ?? ''] ?? OTHERS;
    number += 1;
    for (const name of sweep === 'all' ? names : [names[number % names.length] ?? 'EIO']) {
      let done = false;
      const stop = new AbortController();
      const faulty = new FaultyPort(real, (now) => {
        if (done && !toTheEnd && now === RUN) stop.abort();
        if (done || now !== call || `${now}\n${place()}` !== key) return null;
        done = true;
        return ERRNO[name];
      });
      const what = `${call} ${name}, ${within(key)}`;
      await setImmediate();
      const error: unknown = await work(faulty.port, stop.signal).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      look(faulty, what);
      if (done) faults += 1;
      else wrong.push(`${what}: was not called again`);
      // Stopped by us: but for that it would have gone on.
      if (error === null || (error instanceof WcvmmError && error.code === 'E_INTERRUPTED')) continue;
      ended += 1;
      if (!(error instanceof WcvmmError || error instanceof SysError)) wrong.push(`${what}: ${String(error)}`);
      else if (!saying(error).includes(call.replace('ioctl ', '')))
        wrong.push(`${what}: says nothing of the call: ${saying(error)}`);
    }
  }
  return { steps: steps.size, faults, ended, wrong };
}
