/** Which pages of a window are touched beside the first, where all probes are made, and how many of them that covers. */
import type { ArchitectureModel } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import type { Check, Coverage } from '../report/report.ts';
import { mayKillVm } from './plan.ts';
import type { PlannedCheck } from './plan.ts';
import type { Stage2Dump } from './read-back/stage2.ts';

/** Where in a window, in parts of its pages, one is touched between the first and the last. */
const SAMPLES = [0.25, 0.5, 0.75];
/** 4 GiB in pages of 4 KiB: a guest of its own for each 4096 of them. */
const MOST_PAGES = 1 << 20;

/** Offsets of pages, bytes from the window's start, without the first. Throws E_USAGE for more than can be touched one by one. */
export function otherPages(length: bigint, pageSize: number, whole: boolean): readonly bigint[] {
  const pages = Number(length) / pageSize;
  if (whole && pages > MOST_PAGES)
    throw new WcvmmError(
      'E_USAGE',
      `--whole would touch ${pages} pages of a window; expected at most ${MOST_PAGES}. Choose a smaller window with --map.`,
    );
  const indexes = whole
    ? Array.from({ length: pages }, (_, index) => index)
    : [...SAMPLES.map((part) => Math.floor(part * pages)), pages - 1];
  return [...new Set(indexes)].filter((index) => index > 0).map((index) => BigInt(index * pageSize));
}

/**
 * One check for each of the pages, under the type that drivers use for write-combining: it only loads, whatever the window is. What
 * is unaligned shows Device on arm64; where that might end the VM the load is aligned, and only makes KVM map the page.
 *
 * @param first the checks of the window's first page
 */
export function pageChecks(
  model: ArchitectureModel,
  first: readonly PlannedCheck[],
  offsets: readonly bigint[],
): readonly PlannedCheck[] {
  const own = first.find(({ probe, stage1 }) => probe === 'unaligned-load' && stage1.name === model.combiningType);
  if (own === undefined) return [];
  const aligned = {
    kind: 'one-of',
    outcomes: ['ok', 'external-abort'],
    why: 'aligned loads work on every memory type',
  } as const;
  const check = mayKillVm(own) ? { ...own, probe: 'data-read' as const, prediction: aligned } : own;
  return offsets.map((offset) => ({ ...check, offset, registers: true }));
}

/** @param checks of the pages, made and judged */
export function coverageOf(
  { gpa, length, access }: OpenWindow,
  checks: readonly Check[],
  stage2: Stage2Dump,
  pageSize: number,
): Coverage {
  return {
    pageSize,
    pages: Number(length) / pageSize,
    touched: 1 + checks.length,
    unlike: checks.filter(({ verdict }) => verdict === 'mismatch').length,
    readBack: stage2.kind === 'read' && access === 'mapped' ? mappedBytes(stage2, gpa, length) / pageSize : null,
  };
}

/** Bytes of [gpa, gpa + length) that the dump has entries for; those of several VMs may overlap. */
function mappedBytes({ ranges }: Extract<Stage2Dump, { kind: 'read' }>, gpa: bigint, length: bigint): number {
  let [mapped, reached] = [0n, gpa];
  for (const { start, end } of ranges.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    const from = start > reached ? start : reached;
    const to = end < gpa + length ? end : gpa + length;
    if (to <= from) continue;
    mapped += to - from;
    reached = to;
  }
  return Number(mapped);
}
