/**
 * Nested paging as Bochs' debugger sees it: a reader of what KVM programmed that shares nothing with the kernel's own
 * tracepoint. A guest stops for it (x86-tests/images/debugger-stop.c) with an address in rax, the guest-physical one in
 * rcx, and a mark in rdx.
 */
import type { BochsDebugger } from './debugger.ts';

/** The entry of the extended page tables that maps a page of the guest. */
export interface EptLeaf {
  /** Guest-physical, as the guest gives it. */
  readonly gpa: bigint;
  readonly entry: bigint;
  /** 1, 2, 3: it maps 4 KiB, 2 MiB, 1 GiB. */
  readonly level: number;
  /** UC, WC, WT, WP, WB. */
  readonly memoryType: string;
  readonly ignorePat: boolean;
}

const mark = 0x7763_6d6dn;

const level: Readonly<Record<string, number>> = { PTE: 1, PDE: 2, PDPE: 3 };

/** Asks about the address that the stopped guest holds; null where it stopped for another reason. */
export async function readEptLeaf(debug: BochsDebugger): Promise<EptLeaf | null> {
  const registers = await debug.ask('r');
  if (register(registers, 'rdx') !== mark) return null;
  const gpa = register(registers, 'rcx');
  const address = register(registers, 'rax');
  if (gpa === null || address === null) return null;
  const leaf = parseEptWalk(await debug.ask(`page 0x${address.toString(16)}`));
  return leaf === null ? null : { gpa, ...leaf };
}

/** "rax: 00000000_80000000", among others. */
function register(text: string, name: string): bigint | null {
  const [, high, low] = new RegExp(`\\b${name}: ([0-9a-f]{8})_([0-9a-f]{8})\\b`).exec(text) ?? [];
  return high === undefined ? null : BigInt(`0x${high}${low}`);
}

/**
 * The answer to `page`: each step of the guest's own tables is followed by EPT's for that table, and the page itself comes
 * last. A leaf's line ends with its memory type; `IGNORE_PAT` in capitals is a bit that is set.
 */
export function parseEptWalk(text: string): Omit<EptLeaf, 'gpa'> | null {
  const last = text.split('\n').findLast((line) => /^\s*EPT +P/.test(line)) ?? '';
  const [, table = '', entry, ignorePat, memoryType] =
    /EPT +(PTE|PDE|PDPE): 0x([0-9a-f]{1,16})\s.*\b(IGNORE_PAT|ignore_pat) +(UC|WC|WT|WP|WB)\b/.exec(last) ?? [];
  const leafLevel = level[table];
  if (leafLevel === undefined || entry === undefined || memoryType === undefined) return null;
  return { entry: BigInt(`0x${entry}`), level: leafLevel, memoryType, ignorePat: ignorePat === 'IGNORE_PAT' };
}
