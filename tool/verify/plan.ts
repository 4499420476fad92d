/** Which checks to make, and in how many runs: every window × stage-1 type × probe, with what memattr predicts. Pure. */
import { TRAPPED, outcomesOf } from '../../memattr/index.ts';
import type {
  WindowAccess,
  ArchitectureModel,
  Attribute,
  Platform,
  Prediction,
  ProbeName,
  Source,
  Stage1Type,
  Strictness,
} from '../../memattr/index.ts';
import type { TouchedBy } from '../report/report.ts';
import { allowedProbes, predictedOfRegisters } from './contents.ts';
import { ABI } from './guest/abi.ts';
import type { Cell } from './guest/abi.ts';

export interface PlannedCheck {
  /** Index into the windows. */
  readonly window: number;
  readonly stage1: Stage1Type;
  readonly probe: ProbeName;
  /** What stage 2 should be, as memattr names it. */
  readonly stage2: string;
  readonly effective: string;
  readonly prediction: Prediction;
  /** Where in the window: bytes. */
  readonly offset: bigint;
  /** What lies there may be registers: the probe only makes its access. */
  readonly registers: boolean;
}

export function planChecks(
  model: ArchitectureModel,
  platform: Platform,
  source: Source,
  windows: readonly PlannedWindow[],
  stage1Types: readonly Stage1Type[] = model.stage1Types,
): readonly PlannedCheck[] {
  return windows.flatMap((planned, window) => {
    const expected = expectationOf(model, platform, source, planned);
    return stage1Types.flatMap((stage1) =>
      expected.probes.map((probe): PlannedCheck => ({
        window,
        stage1,
        probe,
        stage2: expected.stage2,
        effective: expected.effective(stage1),
        prediction: expected.predict(probe, stage1),
        offset: 0n,
        registers: planned.by !== undefined && planned.by !== 'memory',
      })),
    );
  });
}

export interface PlannedWindow {
  readonly attribute: Attribute;
  readonly access: WindowAccess;
  /** How probes touch the window; absent: it is memory. */
  readonly by?: TouchedBy;
}

/** What the model predicts for one window, mapped or trapped. */
export interface Expectation {
  readonly probes: readonly ProbeName[];
  readonly stage2: string;
  readonly strictness: Strictness;
  effective(stage1: Stage1Type): string;
  predict(probe: ProbeName, stage1: Stage1Type): Prediction;
}

export function expectationOf(
  model: ArchitectureModel,
  platform: Platform,
  source: Source,
  { attribute, access, by = 'memory' }: PlannedWindow,
): Expectation {
  const predicted = by === 'memory' ? (one: Prediction): Prediction => one : predictedOfRegisters;
  if (access === 'trapped') {
    return {
      probes: allowedProbes(model.trapped.probes, by),
      stage2: TRAPPED,
      strictness: model.trapped.strictness(attribute, source, platform),
      effective: () => model.trapped.effective(attribute, source, platform),
      predict: (probe, stage1) => predicted(model.trapped.predict(probe, stage1, platform)),
    };
  }
  const stage2 = model.stage2(attribute, source, platform);
  return {
    probes: allowedProbes(model.probes, by),
    stage2,
    strictness: model.strictness(attribute, source, platform),
    effective: (stage1) => model.effective(stage1, stage2, platform),
    predict: (probe, stage1) => predicted(model.predict(probe, stage1, stage2, platform)),
  };
}

/** May the VM die of this check, as is predicted? Then what it did before must not be able to change the outcome. */
export function mayKillVm({ prediction }: PlannedCheck): boolean {
  return outcomesOf(prediction)?.includes('vm-killed') === true;
}

/** Makes accesses of one kind and type, in large numbers: some of them are sampled, where the CPU records what it accesses. */
export function isSampled({ probe, stage2 }: PlannedCheck): boolean {
  return (probe === 'store-bandwidth' || probe === 'load-latency') && stage2 !== TRAPPED;
}

/**
 * Checks by the VM that makes them: all harmless ones share runs, each that may kill its VM has a run of its own, and each that is
 * sampled.
 */
export function runsOf(checks: readonly PlannedCheck[], samples = false): readonly (readonly PlannedCheck[])[] {
  const isAlone = (check: PlannedCheck): boolean => mayKillVm(check) || (samples && isSampled(check));
  const harmless = checks.filter((check) => !isAlone(check));
  const shared = Array.from({ length: Math.ceil(harmless.length / ABI.maxCells) }, (_, index) =>
    harmless.slice(index * ABI.maxCells, (index + 1) * ABI.maxCells),
  );
  return [...shared, ...checks.filter(isAlone).map((check) => [check])];
}

/** How often a measuring probe goes over its 4096 bytes: enough for a figure, and fast enough under emulation. */
const REPETITIONS = 8n;

/** Where each access is an exit, the figure is the cost of exits, and once is enough. */
function repetitionsOf({ stage2 }: PlannedCheck): bigint {
  return stage2 === TRAPPED ? 1n : REPETITIONS;
}

/** @param seed of the cell's own data pattern, so that data which an earlier cell left behind is not taken for its own */
export function cellOf(check: PlannedCheck, stage1Types: readonly Stage1Type[], seed: bigint): Cell {
  const { window, stage1, probe, offset, registers } = check;
  const repeats = probe === 'store-bandwidth' || probe === 'load-latency';
  return {
    window,
    stage1: stage1Types.indexOf(stage1),
    probe,
    offset,
    argument: repeats ? repetitionsOf(check) : seed,
    registers,
  };
}
