/** What KVM programs on x86, as its tracepoint tells it: no file shows the entries of a living VM. */
import { MEMORY_MAP } from './arch/memory-map.ts';
import { hostPat, nestedPaging } from './host-x86.ts';
import { parseSpteTrace, rangesOf } from './spte.ts';
import type { Stage2Watch, WatchStage2 } from './stage2-watch.ts';
import { startTrace } from './trace.ts';

const PAGE = 4096n;

function unavailable(why: string): Stage2Watch {
  return { read: () => ({ kind: 'unavailable', why }) };
}

export const watchSptes: WatchStage2 = (port, scope, { vcpuThread }) => {
  const paging = nestedPaging(port);
  if (paging === null) return unavailable('KVM uses neither EPT nor NPT here, so that there is no stage 2 to be read');
  // Guest RAM is not in question, and has more entries than the windows.
  const filter = `gfn >= 0x${(MEMORY_MAP.windowBase / PAGE).toString(16)}`;
  const trace = startTrace(port, scope, { system: 'kvmmmu', event: 'kvm_mmu_set_spte', filter, thread: vcpuThread });
  if (trace.kind === 'unavailable') return unavailable(trace.why);
  return {
    read() {
      const { events, incomplete } = parseSpteTrace(trace.read());
      if (incomplete !== null) return { kind: 'unavailable', why: incomplete };
      return { kind: 'read', ranges: rangesOf(events, paging, hostPat(port)) };
    },
  };
};
