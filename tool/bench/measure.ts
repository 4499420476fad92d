/** Measures in guests: calibrates first, then takes every sample of all figures in turn. */
import type { Stage1Type } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import { ABI } from '../verify/guest/abi.ts';
import type { Cell } from '../verify/guest/abi.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import { describeExit } from '../verify/guest/exit.ts';
import { decodeLog } from '../verify/guest/records.ts';
import type { GuestRecord } from '../verify/guest/records.ts';
import { runGuest } from '../verify/guest/run.ts';
import type { KvmArchitecture, KvmFacts } from '../../vmm/kvm/arch/arch.ts';
import type { Stage2Dump } from '../verify/read-back/stage2.ts';
import type { VcpuRunner } from '../../vmm/kvm/vcpu-runner.ts';
import type { Figure } from '../report/report.ts';
import type { TakeOutput } from '../../vmm/devices/console-ring.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import { POINTS, calibrate, cellOfPoint, figureOf } from './points.ts';

export interface MeasureRequest {
  readonly image: ElfImage;
  readonly timeoutMs: number;
  /** Samples of each figure. */
  readonly runs: number;
  readonly onPhase?: (what: string) => void;
  readonly onProgress?: (done: number, total: number) => void;
  readonly onConsole?: TakeOutput;
  readonly signal?: AbortSignal;
}

export interface Measurer {
  readonly port: Port;
  readonly arch: KvmArchitecture;
  readonly thread: VcpuRunner;
  readonly facts: KvmFacts;
  readonly stage1Types: readonly Stage1Type[];
  readonly request: MeasureRequest;
}

export interface Measured {
  readonly figures: readonly Omit<Figure, 'effective'>[];
  readonly stage2: Stage2Dump;
  /** Accesses that were exits, by window, of all VMs together. */
  readonly exits: readonly number[];
}

export async function measure(doing: Measurer, windows: readonly OpenWindow[], what: string): Promise<Measured> {
  const { request, stage1Types, facts } = doing;
  const each = windows.flatMap((_, window) =>
    stage1Types.flatMap((type, stage1) => POINTS.map((point) => ({ window, stage1, type, point }))),
  );
  request.onPhase?.(`calibrating on ${what}`);
  let exits = windows.map(() => 0);
  const sample = async (repetitions: readonly number[]): Promise<CellRecords> => {
    const found = await runCells(
      doing,
      windows,
      each.map(({ window, stage1, point }, index) => cellOfPoint(point, repetitions[index] ?? 1, window, stage1)),
    );
    exits = exits.map((count, window) => count + (found.exits[window] ?? 0));
    return found;
  };
  let repetitions: readonly number[] = each.map(() => 1);
  let last = await sample(repetitions);
  const rate = last.ticksPerSecond || (facts.ticksPerSecond ?? 0);
  repetitions = last.records.map(({ values }, index) => calibrate(repetitions[index] ?? 1, Number(values[1]), rate));
  last = await sample(repetitions);
  const fitted = last.records.map(({ values }, index) => calibrate(repetitions[index] ?? 1, Number(values[1]), rate));
  request.onPhase?.(`measuring on ${what}`);
  const samples: GuestRecord[][] = each.map(() => []);
  for (let run = 0; run < request.runs; run += 1) {
    last = await sample(fitted);
    for (const [index, record] of last.records.entries()) samples[index]?.push(record);
    request.onProgress?.(run + 1, request.runs);
  }
  return {
    figures: each.map(({ window, type, point }, index) =>
      figureOf({ window, stage1: type.name, ...point, repetitions: fitted[index] ?? 1 }, samples[index] ?? [], rate),
    ),
    stage2: last.stage2,
    exits,
  };
}

interface CellRecords {
  readonly records: readonly GuestRecord[];
  /** By the guest; 0 where it does not know. */
  readonly ticksPerSecond: number;
  readonly stage2: Stage2Dump;
  readonly exits: readonly number[];
}

/** In as many VMs as it takes. Throws E_GUEST_EXIT, E_GUEST_RECORDS. */
async function runCells(
  { port, arch, thread, stage1Types, request }: Measurer,
  windows: readonly OpenWindow[],
  cells: readonly Cell[],
): Promise<CellRecords> {
  const { image, timeoutMs, onConsole, signal } = request;
  const records: GuestRecord[] = [];
  let stage2: Stage2Dump = { kind: 'unavailable', why: 'no guest ran' };
  let exits: readonly number[] = windows.map(() => 0);
  const warm = warmUp(windows);
  const room = ABI.maxCells - warm.length;
  for (let at = 0; at < cells.length; at += room) {
    const some = warm.concat(cells.slice(at, at + room));
    const run = await runGuest(port, arch, thread, {
      image,
      windows,
      stage1: stage1Types.map(({ encoding }) => encoding),
      cells: some,
      timeoutMs,
      ...(onConsole && { onConsole }),
      ...(signal && { signal }),
    });
    const failure = describeExit(run.exit);
    if (failure !== null) throw new WcvmmError('E_GUEST_EXIT', failure);
    const log = decodeLog(run.log, some.length);
    const bad = log.records.find(({ outcome }) => outcome !== 'ok');
    if (bad !== undefined || log.records.length < some.length) {
      throw new WcvmmError(
        'E_GUEST_RECORDS',
        `the guest ${bad === undefined ? `answered ${log.records.length} of ${some.length} cells` : `answered ${bad.outcome} to the measuring cell ${bad.cell}`}; expected ok from each, since every memory type allows what they do. Is the guest image of another version?`,
      );
    }
    records.push(...log.records.slice(warm.length));
    stage2 = run.stage2;
    exits = exits.map((count, window) => count + (run.windowExits[window] ?? 0));
  }
  return { records, ticksPerSecond: Number(records[0]?.values[2] ?? 0n), stage2, exits };
}

/** Every VM begins cold: stage 2 is made at the first touch, and code that never ran is slower. These records are ignored. */
function warmUp(windows: readonly OpenWindow[]): readonly Cell[] {
  return windows.flatMap((_, window) => POINTS.map((point) => cellOfPoint(point, 1, window, 0)));
}
