/**
 * What KVM programmed on x86: the events kvmmmu:kvm_mmu_set_spte (arch/x86/kvm/mmu/mmutrace.h) of tracefs, such as
 *   wcvmm-312     [001] d..1.    17.204415: kvm_mmu_set_spte: gfn 100000 spte 60000c0000080f77 (rwxu) level 2 at 104a000
 * There is one for each leaf that is made or changed, in this order. That a leaf is zapped is not among them.
 */
import { nameOfLeaf } from '../../../memattr/index.ts';
import type { NestedPaging, Pat } from '../../../memattr/index.ts';
import type { Stage2Range } from './stage2.ts';

export interface SpteEvent {
  /** The thread in which KVM made the entry: the vCPU's. */
  readonly pid: number;
  readonly gfn: bigint;
  /** The entry. */
  readonly spte: bigint;
  /** 1, 2, 3: it maps 4 KiB, 2 MiB, 1 GiB. */
  readonly level: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

export interface SpteTrace {
  readonly events: readonly SpteEvent[];
  /** Why the events may not be all there were; null if they are. */
  readonly incomplete: string | null;
}

const NAME = ' kvm_mmu_set_spte: ';
const CONTEXT = /^.{1,16}-(\d+)\s/;
const EVENT = /^gfn ([0-9a-f]{1,16}) spte ([0-9a-f]{1,16}) \([r-]([w-])([x-])[u-]\) level ([1-3]) at [0-9a-f]+$/;
const LOST = /^CPU:\d+ \[LOST (?:\d+ )?EVENTS\]$/;
const FILL = /^# entries-in-buffer\/entries-written: (\d+)\/(\d+)\s/;

/** The text of tracefs' `trace`. Events of other kinds are passed over. */
export function parseSpteTrace(text: string): SpteTrace {
  const events: SpteEvent[] = [];
  let incomplete: string | null = null;
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf(NAME);
    const event = at < 0 ? null : parseEvent(line.slice(0, at), line.slice(at + NAME.length));
    if (event !== null) events.push(event);
    else if (at >= 0 && !line.startsWith('#')) incomplete ??= `unknown line in the trace: ${line.trim()}`;
    else if (LOST.test(line)) incomplete ??= `the trace says ${line}`;
    else incomplete ??= overwritten(line);
  }
  return { events, incomplete };
}

function parseEvent(context: string, fields: string): SpteEvent | null {
  const pid = CONTEXT.exec(context)?.[1];
  const [, gfn, spte, w, x, level] = EVENT.exec(fields) ?? [];
  if (pid === undefined || gfn === undefined || spte === undefined) return null;
  return {
    pid: Number(pid),
    gfn: BigInt(`0x${gfn}`),
    spte: BigInt(`0x${spte}`),
    level: Number(level),
    writable: w === 'w',
    executable: x === 'x',
  };
}

function overwritten(line: string): string | null {
  const [, kept, written] = FILL.exec(line) ?? [];
  return kept === written ? null : `the trace buffer kept ${kept} of ${written} events`;
}

/** EPT: readable, writable or executable; NPT: bit 0. */
const PRESENT: Readonly<Record<NestedPaging, bigint>> = { ept: 0b111n, npt: 0b001n };

/** What an entry says of the memory type, as memattr names stage 2; null if it maps nothing. */
export function typeOfSpte(
  { spte, level }: Pick<SpteEvent, 'spte' | 'level'>,
  paging: NestedPaging,
  hostPat?: Pat,
): string | null {
  if ((spte & PRESENT[paging]) === 0n) return null;
  return nameOfLeaf(paging, spte, level > 1, hostPat);
}

/** What an event says of a range, until a later one says something else. */
interface Block {
  readonly start: bigint;
  readonly end: bigint;
  /** Place among the events: the last one counts. */
  readonly order: number;
  readonly level: number;
  readonly memoryType: string | null;
}

/**
 * What the guest-physical space is like after these events, in ascending order: as from arm64's dump, so that one reader
 * reads both. That one counts levels from the root, so level 3 is 4 KiB.
 */
export function rangesOf(events: readonly SpteEvent[], paging: NestedPaging, hostPat?: Pat): readonly Stage2Range[] {
  const latest = new Map<string, Block>();
  for (const [order, event] of events.entries()) {
    const size = 4096n << BigInt(9 * (event.level - 1));
    const start = ((event.gfn * 4096n) / size) * size;
    const memoryType = typeOfSpte(event, paging, hostPat);
    latest.set(`${start} ${event.level}`, { start, end: start + size, order, level: 4 - event.level, memoryType });
  }
  return visible([...latest.values()].toSorted(outerFirst));
}

/** By address; of blocks that start alike, the larger first. */
function outerFirst(a: Block, b: Block): number {
  if (a.start === b.start) return a.level - b.level;
  return a.start < b.start ? -1 : 1;
}

/** Of each block what no later one covers. Blocks are aligned to their size: of any two, one holds the other or they are apart. */
function visible(blocks: readonly Block[]): readonly Stage2Range[] {
  const ranges: Stage2Range[] = [];
  /** Those that hold the address `at`, each inside of the one before. */
  const around: Block[] = [];
  let at = 0n;
  let before: Block | null = null;
  const goTo = (to: bigint | null): void => {
    for (let inner = around.at(-1); inner !== undefined; inner = around.at(-1)) {
      if (to !== null && at >= to && inner.end > at) break;
      const end = to !== null && to < inner.end ? to : inner.end;
      const last = around.reduce((a, b) => (b.order > a.order ? b : a));
      if (end > at) {
        add(ranges, last, before === last, at, end);
        before = last;
      }
      at = end;
      if (end === inner.end) around.pop();
    }
    if (to !== null) at = to;
  };
  for (const block of blocks) {
    goTo(block.start);
    around.push(block);
  }
  goTo(null);
  return ranges;
}

/** @param goesOn the last range is the same block's; it ends where this part starts */
function add(ranges: Stage2Range[], { level, memoryType }: Block, goesOn: boolean, start: bigint, end: bigint): void {
  if (memoryType === null) return;
  const last = goesOn ? ranges.pop() : undefined;
  ranges.push({ start: last?.start ?? start, end, level, memoryType });
}
