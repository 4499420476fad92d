/**
 * What KVM programmed: arm64's stage-2 dump in debugfs (arch/arm64/kvm/ptdump.c), whose lines look like
 *   0x0000000100000000-0x0000000100200000           2M 2   R W px ux  AF BLK MEM/NORMAL-NC
 * The memory type is the word that kernel-patches/ adds; a stock kernel prints none.
 */
import { SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

export interface Stage2Range {
  /** Guest-physical bytes [start, end). */
  readonly start: bigint;
  readonly end: bigint;
  readonly level: number;
  /** As memattr names it; null where the kernel does not say. */
  readonly memoryType: string | null;
}

const LINE = /^0x([0-9a-f]+)-0x([0-9a-f]+)\s+\d+[KMGTPE]\s+(\d)\s(.*)$/;
const TYPE = /\b(MEM\/NORMAL(?:-NC)?|DEVICE\/n?Gn?RE|DEVICE\/nGnRn?E|RESERVED)(?:\s|$)/;

const NAMES: Readonly<Record<string, string>> = {
  'MEM/NORMAL': 'Normal-WB',
  'MEM/NORMAL-NC': 'Normal-NC',
  'DEVICE/nGnRnE': 'Device-nGnRnE',
  'DEVICE/nGnRE': 'Device-nGnRE',
  'DEVICE/nGRE': 'Device-nGRE',
  'DEVICE/GRE': 'Device-GRE',
  RESERVED: 'reserved',
};

/** Lines that are not a mapped range (markers, holes) are ignored. */
export function parseStage2(text: string): readonly Stage2Range[] {
  return text.split('\n').flatMap((line): Stage2Range[] => {
    const match = LINE.exec(line);
    if (match === null || /\sF\s/.test(` ${match[4]} `)) return [];
    const word = TYPE.exec(match[4] ?? '')?.[1];
    return [
      {
        start: BigInt(`0x${match[1]}`),
        end: BigInt(`0x${match[2]}`),
        level: Number(match[3]),
        memoryType: word === undefined ? null : (NAMES[word] ?? word),
      },
    ];
  });
}

/** Bytes that one entry of `level` maps: 4 KiB, 2 MiB, 1 GiB for levels 3, 2, 1 with 4 KiB pages. */
export function entrySize(level: number, pageSize: number): number {
  const pageBits = Math.log2(pageSize);
  return 2 ** (pageBits + (3 - level) * (pageBits - 3));
}

export interface Stage2Reading {
  /** The one type of all that is mapped in the range; null where nothing is mapped or the kernel does not say. */
  readonly memoryType: string | null;
  /** The largest entry in the range, bytes. */
  readonly blockSize: number | null;
  /** More than one type in a range that has one attribute: never right. */
  readonly mixed: boolean;
}

export function readRange(
  ranges: readonly Stage2Range[],
  gpa: bigint,
  length: bigint,
  pageSize: number,
): Stage2Reading {
  const inside = ranges.filter(({ start, end }) => start < gpa + length && end > gpa);
  const types = [...new Set(inside.map(({ memoryType }) => memoryType))];
  const level = inside.reduce((least, range) => Math.min(least, range.level), 4);
  return {
    memoryType: types.length === 1 ? (types[0] ?? null) : null,
    blockSize: inside.length === 0 ? null : entrySize(level, pageSize),
    mixed: types.length > 1,
  };
}

export type Stage2Dump =
  | { readonly kind: 'read'; readonly ranges: readonly Stage2Range[] }
  | { readonly kind: 'unavailable'; readonly why: string };

/** @param debugName of the VM's folder in debugfs; it is there as long as the VM is */
export function readStage2(port: Port, debugName: string): Stage2Dump {
  const path = `/sys/kernel/debug/kvm/${debugName}/stage2_page_tables`;
  try {
    return { kind: 'read', ranges: parseStage2(port.readText(path)) };
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM'))
      return {
        kind: 'unavailable',
        why: `${path} may only be read by root, and not where the kernel is locked down`,
      };
    if (!(error instanceof SysError)) throw error;
    return {
      kind: 'unavailable',
      why: `${path} cannot be read: mount debugfs on /sys/kernel/debug and use a kernel with CONFIG_PTDUMP_STAGE2_DEBUGFS`,
    };
  }
}
