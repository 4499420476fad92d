/**
 * One tracepoint, recorded in a tracefs instance of its own (Documentation/trace/ftrace.rst, "Instances"): whoever else
 * traces on this machine neither sees it nor loses anything to it.
 */
import type { Scope } from '../../../common/scope.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

export interface Tracepoint {
  readonly system: string;
  readonly event: string;
  /** In the tracepoint's own filter language. */
  readonly filter: string;
  /** Only what this thread does. */
  readonly thread: number;
}

export type Trace =
  { readonly kind: 'recording'; read(): string } | { readonly kind: 'unavailable'; readonly why: string };

const ROOTS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** KiB for each CPU: some 15000 events of kvmmmu. Ring buffers are allocated at once, so not more than may be needed. */
const BUFFER = '1024';

let started = 0;

/** Records until `scope` closes, and leaves no instance behind. */
export function startTrace(port: Port, scope: Scope, { system, event, filter, thread }: Tracepoint): Trace {
  const root = ROOTS.find((path) => port.exists(`${path}/instances`));
  if (root === undefined)
    return {
      kind: 'unavailable',
      why: 'tracefs is not there: mount it with "mount -t tracefs nodev /sys/kernel/tracing", as root',
    };
  if (!port.exists(`${root}/events/${system}/${event}`))
    return {
      kind: 'unavailable',
      why: `this kernel has no tracepoint ${system}:${event}; expected one with CONFIG_FTRACE, and the module kvm loaded`,
    };
  const instance = `${root}/instances/wcvmm-${process.pid}-${(started += 1)}`;
  const switchOf = `${instance}/events/${system}/${event}`;
  try {
    port.makeFolder(instance);
    scope.defer(() => port.removeFolder(instance));
    port.writeText(`${instance}/buffer_size_kb`, BUFFER);
    port.writeText(`${instance}/set_event_pid`, String(thread));
    port.writeText(`${switchOf}/filter`, filter);
    port.writeText(`${switchOf}/enable`, '1');
    scope.defer(() => port.writeText(`${switchOf}/enable`, '0'));
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return { kind: 'unavailable', why: `${root} may only be used by root` };
    throw error;
  }
  return { kind: 'recording', read: () => port.readText(`${instance}/trace`) };
}
