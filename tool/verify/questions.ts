/** What to ask a guest, and in how many lives: every window × stage-1 type × probe, with what memattr predicts. Pure. */
import { TRAPPED, outcomesOf } from '../../memattr/index.ts';
import type {
  Access,
  ArchitectureModel,
  Attribute,
  Platform,
  Prediction,
  ProbeName,
  Source,
  Stage1Type,
  Strictness,
} from '../../memattr/index.ts';
import { ABI } from './guest/abi.ts';
import type { Cell } from './guest/abi.ts';

export interface Question {
  /** Index into the windows. */
  readonly window: number;
  readonly stage1: Stage1Type;
  readonly probe: ProbeName;
  /** What stage 2 should be, as memattr names it. */
  readonly stage2: string;
  readonly effective: string;
  readonly prediction: Prediction;
}

export function questionsFor(
  model: ArchitectureModel,
  platform: Platform,
  source: Source,
  windows: readonly AskedWindow[],
  stage1Types: readonly Stage1Type[] = model.stage1Types,
): readonly Question[] {
  return windows.flatMap((asked, window) => {
    const expected = expectationOf(model, platform, source, asked);
    return stage1Types.flatMap((stage1) =>
      expected.probes.map((probe): Question => ({
        window,
        stage1,
        probe,
        stage2: expected.stage2,
        effective: expected.effective(stage1),
        prediction: expected.predict(probe, stage1),
      })),
    );
  });
}

export interface AskedWindow {
  readonly attribute: Attribute;
  readonly access: Access;
}

/** What the model says of one window, whichever way a guest reaches it. */
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
  { attribute, access }: AskedWindow,
): Expectation {
  if (access === 'trapped') {
    return {
      probes: model.trapped.probes,
      stage2: TRAPPED,
      strictness: model.trapped.strictness(attribute, source, platform),
      effective: () => model.trapped.effective(attribute, source, platform),
      predict: (probe, stage1) => model.trapped.predict(probe, stage1, platform),
    };
  }
  const stage2 = model.stage2(attribute, source, platform);
  return {
    probes: model.probes,
    stage2,
    strictness: model.strictness(attribute, source, platform),
    effective: (stage1) => model.effective(stage1, stage2, platform),
    predict: (probe, stage1) => model.predict(probe, stage1, stage2, platform),
  };
}

/** May the VM die of this question, as is predicted? Then what it did before must not be able to change the answer. */
export function mayKill({ prediction }: Question): boolean {
  return outcomesOf(prediction)?.includes('vm-killed') === true;
}

/** Questions by the VM that answers them: all harmless ones share lives, each that may kill has a VM of its own. */
export function livesOf(questions: readonly Question[]): readonly (readonly Question[])[] {
  const harmless = questions.filter((question) => !mayKill(question));
  const shared = Array.from({ length: Math.ceil(harmless.length / ABI.maxCells) }, (_, index) =>
    harmless.slice(index * ABI.maxCells, (index + 1) * ABI.maxCells),
  );
  return [...shared, ...questions.filter(mayKill).map((question) => [question])];
}

/** Enough for a figure, short enough under emulation: how often a measuring probe goes over its 4096 bytes. */
const REPETITIONS = 8n;

/** Where each access is an exit, a figure says what exits cost, and once over is enough. */
function repetitionsOf({ stage2 }: Question): bigint {
  return stage2 === TRAPPED ? 1n : REPETITIONS;
}

/** `seed` makes each data pattern its own, so that what an earlier cell left behind cannot pass for an answer. */
export function cellOf(question: Question, stage1Types: readonly Stage1Type[], seed: bigint): Cell {
  const { window, stage1, probe } = question;
  const repeats = probe === 'store-bandwidth' || probe === 'load-latency';
  return {
    window,
    stage1: stage1Types.indexOf(stage1),
    probe,
    offset: 0n,
    argument: repeats ? repetitionsOf(question) : seed,
  };
}
