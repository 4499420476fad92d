import type { Outcome, ProbeName } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';

/**
 * tool/verify/guest/abi.h in TypeScript: what the VMM and a bare guest agree on. The header is the truth;
 * test/guest-abi.test.ts compiles it and compares every number here. All offsets and sizes are bytes, all
 * fields little-endian.
 */
export const ABI = {
  magic: 0x314d_4d56_4357_0000n,
  version: 1,
  paramsOffset: 0x10_0000,
  cellsOffset: 0x11_0000,
  logOffset: 0x18_0000,
  ramSize: 0x40_0000,
  maxWindows: 16,
  maxStage1: 6,
  maxCells: 4096,
  maxRecords: 4096,
  maxRepetitions: 0x10_0000,
};

/** Offsets in the doorbell page; the guest stores 32 bits there. */
/** The first two are the VMM's doorbell, the third is the data probes' (exchange.ts). */
export const DOORBELL = { putchar: 0x000, exit: 0x008, sync: 0x010 } as const;

/** What a guest stores to the exit doorbell. */
export const STATUS = { ok: 0, badParams: 1, exception: 2, badCpu: 3 } as const;

export const CELL_FLAG = { verbose: 1, registers: 2 } as const;

export const SIZE_OF = { window: 16, params: 288, cell: 32, record: 64, logHeader: 64, log: 262_208 } as const;

export const PARAMS_AT = {
  magic: 0,
  version: 8,
  windowCount: 12,
  stage1Count: 16,
  cellCount: 20,
  stage1: 24,
  windows: 32,
} as const;
export const CELL_AT = { window: 0, stage1: 4, probe: 8, flags: 12, offset: 16, argument: 24 } as const;
export const RECORD_AT = { cell: 0, outcome: 4, syndrome: 8, address: 16, value: 24, reserved: 56 } as const;
export const LOG_AT = { magic: 0, recordCount: 8, running: 12, reserved: 16, records: 64 } as const;

export const PROBE_NUMBER: Readonly<Record<ProbeName, number>> = {
  'stage1-self-check': 1,
  'unaligned-load': 2,
  'unaligned-store': 3,
  'unaligned-load-simd': 4,
  'unaligned-store-simd': 5,
  'unaligned-load-pair': 6,
  'unaligned-store-pair': 7,
  'simd-half-aligned': 8,
  'zero-block': 9,
  exclusive: 10,
  atomic: 11,
  fetch: 12,
  'data-read': 13,
  'data-write': 14,
  'tag-retention': 15,
  'store-bandwidth': 16,
  'load-latency': 17,
  'nt-store': 18,
  'nt-load': 19,
  'direct-store': 20,
  'cache-flush': 21,
  'fence-visibility': 22,
  'locked-access': 23,
  'timing-class': 24,
};

/** What a guest can say of itself: it cannot report its VM's death, and the VMM never asks for a bad cell. */
export type GuestOutcome = Exclude<Outcome, 'vm-killed'> | 'bad-cell';

export const OUTCOME_NUMBER: Readonly<Record<GuestOutcome, number>> = {
  ok: 1,
  'alignment-fault': 2,
  'external-abort': 3,
  'fetch-abort': 4,
  undefined: 5,
  'atomic-fault': 6,
  'other-fault': 7,
  'wrong-data': 8,
  'not-present': 9,
  'bad-cell': 10,
};

const OUTCOME_NAME = new Map<number, GuestOutcome>();
for (const name of Object.keys(OUTCOME_NUMBER) as GuestOutcome[]) OUTCOME_NAME.set(OUTCOME_NUMBER[name], name);

/** The outcome with this number in abi.h, or null: the number comes from the guest. */
export function outcomeName(number: number): GuestOutcome | null {
  return OUTCOME_NAME.get(number) ?? null;
}

/** One question to the guest; the record at the same index of its log is the answer. */
export interface Cell {
  /** Index into the windows of `encodeParams`. */
  window: number;
  /** Index into its stage-1 types. */
  stage1: number;
  probe: ProbeName;
  /** Bytes into the window, a multiple of 64; the 4096 bytes from there are the probe's own. */
  offset: bigint;
  /** bandwidth, latency: `measureArgument` of measure.ts; every other probe: its pattern's seed, if it has one. */
  argument: bigint;
  /** What lies there may be registers: only the probing access is made, and no data is expected back. */
  registers?: boolean;
  /** One line on the guest's console for this cell. */
  verbose?: boolean;
}

/**
 * `struct wcvmm_params`, to be copied to guest RAM + `ABI.paramsOffset`.
 *
 * @param stage1 the types' encodings: MAIR bytes on arm64, PAT entries on x86
 * @param windows in the order of the cells' indexes; gpa and length are page-aligned bytes
 * @throws WcvmmError E_USAGE when there are more windows than a guest can hold
 */
export function encodeParams({
  stage1,
  windows,
  cellCount,
}: {
  stage1: readonly number[];
  windows: readonly { gpa: bigint; length: bigint }[];
  cellCount: number;
}): Uint8Array {
  if (windows.length > ABI.maxWindows) {
    throw new WcvmmError(
      'E_USAGE',
      `${windows.length} maps were given and a guest can hold ${ABI.maxWindows}: use fewer --map`,
    );
  }
  if (stage1.length > ABI.maxStage1) throw new RangeError(`${stage1.length} stage-1 types, at most ${ABI.maxStage1}`);
  checkCellCount(cellCount);
  const bytes = new Uint8Array(SIZE_OF.params);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(PARAMS_AT.magic, ABI.magic, true);
  view.setUint32(PARAMS_AT.version, ABI.version, true);
  view.setUint32(PARAMS_AT.windowCount, windows.length, true);
  view.setUint32(PARAMS_AT.stage1Count, stage1.length, true);
  view.setUint32(PARAMS_AT.cellCount, cellCount, true);
  bytes.set(stage1, PARAMS_AT.stage1);
  for (const [index, { gpa, length }] of windows.entries()) {
    view.setBigUint64(PARAMS_AT.windows + index * SIZE_OF.window, gpa, true);
    view.setBigUint64(PARAMS_AT.windows + index * SIZE_OF.window + 8, length, true);
  }
  return bytes;
}

/** `struct wcvmm_cell[]`, to be copied to guest RAM + `ABI.cellsOffset`. */
export function encodeCells(cells: readonly Cell[]): Uint8Array {
  checkCellCount(cells.length);
  const bytes = new Uint8Array(cells.length * SIZE_OF.cell);
  const view = new DataView(bytes.buffer);
  for (const [index, cell] of cells.entries()) {
    const at = index * SIZE_OF.cell;
    view.setUint32(at + CELL_AT.window, cell.window, true);
    view.setUint32(at + CELL_AT.stage1, cell.stage1, true);
    view.setUint32(at + CELL_AT.probe, PROBE_NUMBER[cell.probe], true);
    view.setUint32(
      at + CELL_AT.flags,
      (cell.verbose ? CELL_FLAG.verbose : 0) | (cell.registers ? CELL_FLAG.registers : 0),
      true,
    );
    view.setBigUint64(at + CELL_AT.offset, cell.offset, true);
    view.setBigUint64(at + CELL_AT.argument, cell.argument, true);
  }
  return bytes;
}

/**
 * The 64-bit word at `index` of the data that seed `seed` stands for: splitmix64, because both sides must make
 * it from nothing, and neighbouring words and seeds share no bytes that a lost or merged store could hide behind.
 */
export function wcvmmPattern(seed: bigint, index: number): bigint {
  let z = BigInt.asUintN(64, seed + BigInt(index + 1) * 0x9e37_79b9_7f4a_7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return z ^ (z >> 31n);
}

function checkCellCount(count: number): void {
  if (count > ABI.maxCells) throw new RangeError(`${count} cells, at most ${ABI.maxCells} fit: ask in several runs`);
}
