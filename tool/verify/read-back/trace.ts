/**
 * One tracepoint, recorded in a tracefs instance of its own (Documentation/trace/ftrace.rst, "Instances"): other
 * tracing on this machine is not affected.
 */
import { TRACE_ROOTS } from './paths.ts';
import type { Scope } from '../../../common/scope.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { O_RDONLY } from '../../../vmm/sys/libc.ts';
import { SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

export interface Tracepoint {
  readonly system: string;
  readonly event: string;
  /** In the tracepoint's own filter language. */
  readonly filter: string;
  /** Only what this thread does. */
  readonly thread: number;
  /** How many events there must be room for: on any CPU, as the thread may run on one alone. */
  readonly events: number;
}

export type Trace =
  { readonly kind: 'recording'; read(): string } | { readonly kind: 'unavailable'; readonly why: string };

/** Bytes of a ring buffer that one event takes, at most; the events asked for have 28 bytes of fields. */
const EVENT_SIZE = 80;

let started = 0;
/** Names of the instances that this process has made and not removed. */
const own = new Set<string>();

/** Records until `scope` closes, and leaves no instance behind. Where that cannot be had, the reason; it never throws. */
export function startTrace(port: Port, scope: Scope, tracepoint: Tracepoint): Trace {
  const found = findRoot(port);
  if (found.root === null) return { kind: 'unavailable', why: found.why };
  const { root } = found;
  const { system, event } = tracepoint;
  if (!port.exists(`${root}/events/${system}/${event}`))
    return {
      kind: 'unavailable',
      why: `this kernel has no tracepoint ${system}:${event}; expected one with CONFIG_FTRACE, and the module kvm loaded`,
    };
  try {
    sweep(port, root);
    return { kind: 'recording', read: record(port, scope, root, tracepoint) };
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return { kind: 'unavailable', why: onlyRoot(root) };
    if (error instanceof SysError)
      return { kind: 'unavailable', why: `${root} has no trace for wcvmm (${error.message})` };
    throw error;
  }
}

/** Only root may look into tracefs, so what may not be looked into is there. */
function findRoot(port: Port): { readonly root: string } | { readonly root: null; readonly why: string } {
  for (const root of TRACE_ROOTS) {
    try {
      port.list(`${root}/instances`);
      return { root };
    } catch (error) {
      if (isErrno(error, 'EACCES', 'EPERM')) return { root: null, why: onlyRoot(root) };
      if (!(error instanceof SysError)) throw error;
    }
  }
  return {
    root: null,
    why: 'tracefs is not mounted: mount it with "mount -t tracefs nodev /sys/kernel/tracing", as root',
  };
}

function onlyRoot(root: string): string {
  return `${root} may only be used by root, and not where the kernel is locked down: run as root`;
}

/** Returns what reads the trace. */
function record(
  port: Port,
  scope: Scope,
  root: string,
  { system, event, filter, thread, events }: Tracepoint,
): () => string {
  const name = `wcvmm-${process.pid}-${(started += 1)}`;
  const instance = `${root}/instances/${name}`;
  const switchOf = `${instance}/events/${system}/${event}`;
  port.makeFolder(instance);
  own.add(name);
  // What cannot be removed now is swept another time: no reason for a run to fail.
  scope.defer(() => {
    own.delete(name);
    attempt(() => port.removeFolder(instance));
  });
  // As long as one of its files is open, an instance cannot be removed: not by another process that sweeps, either.
  hold(port, scope, `${instance}/tracing_on`);
  // The kernel gives each CPU 1.4 MiB to begin with, hundreds of MiB on a large machine.
  port.writeText(`${instance}/buffer_size_kb`, String(Math.ceil((events * EVENT_SIZE) / 1024)));
  port.writeText(`${instance}/set_event_pid`, String(thread));
  port.writeText(`${switchOf}/filter`, filter);
  port.writeText(`${switchOf}/enable`, '1');
  scope.defer(() => void attempt(() => port.writeText(`${switchOf}/enable`, '0')));
  return () => port.readText(`${instance}/trace`);
}

/** A process that may open nothing any more has its instances made, and removed, by one that lives as long. */
function hold(port: Port, scope: Scope, path: string): void {
  try {
    const held = port.open(path, O_RDONLY);
    scope.defer(() => port.close(held));
  } catch (error) {
    if (!isErrno(error, 'EACCES')) throw error;
  }
}

/** Removes the instances of processes that were killed; one that is in use refuses. */
function sweep(port: Port, root: string): void {
  for (const name of port.list(`${root}/instances`)) {
    const [, pid] = /^wcvmm-(\d+)-\d+$/.exec(name) ?? [];
    if (pid === undefined || own.has(name)) continue;
    // Another process may have had this one's number.
    if (Number(pid) !== process.pid && port.exists(`/proc/${pid}`)) continue;
    attempt(() => port.removeFolder(`${root}/instances/${name}`));
  }
}
