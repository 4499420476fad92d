/** What KVM programs on x86, by its tracepoint: no file shows the entries of a running VM. */
import { SPTE_EVENT } from './paths.ts';
import type { NestedPaging } from '../../../memattr/index.ts';
import { BARE_MAP } from '../../../vmm/machines/bare.ts';
import { hostPat } from './host-x86.ts';
import { parseSpteTrace, rangesOf } from './spte.ts';
import type { Scope } from '../../../common/scope.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { unreadable } from './stage2-watch.ts';
import type { Stage2Watch, WatchedVm } from './stage2-watch.ts';
import { startTrace } from './trace.ts';

const PAGE = 4096n;

const [SYSTEM = '', EVENT = ''] = SPTE_EVENT.split('/');

/** A guest touches few pages of each window, and KVM makes few entries more than once. */
const EVENTS = 1024;
/** The entry of a page, and of the table above it. */
const EVENTS_OF_PAGE = 2;

function frame(gpa: bigint): string {
  return `0x${(gpa / PAGE).toString(16)}`;
}

export function watchSptes(
  port: Port,
  scope: Scope,
  { vcpuThread, pages = 0, ranges }: WatchedVm,
  paging: NestedPaging,
): Stage2Watch {
  // Guest RAM is not in question, and has more entries than the windows.
  const filter =
    ranges === undefined
      ? `gfn >= ${frame(BARE_MAP.windowBase)}`
      : ranges.map(({ gpa, length }) => `(gfn >= ${frame(gpa)} && gfn < ${frame(gpa + length)})`).join(' || ');
  const trace = startTrace(port, scope, {
    system: SYSTEM,
    event: EVENT,
    filter,
    thread: vcpuThread,
    events: EVENTS + EVENTS_OF_PAGE * pages,
  });
  if (trace.kind === 'unavailable') return unreadable(trace.why);
  return {
    read() {
      const text = attempt(() => trace.read());
      if (text === null) return { kind: 'unavailable', why: 'the trace of what KVM programmed cannot be read' };
      const { events, incomplete } = parseSpteTrace(text);
      if (incomplete !== null) return { kind: 'unavailable', why: incomplete };
      return { kind: 'read', ranges: rangesOf(events, paging, hostPat(port)) };
    },
  };
}
