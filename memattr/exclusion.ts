/**
 * What a check is worth: which other stage-2 types would have had to show something else. Only such a check is evidence of the
 * type; the others are right whatever the type is.
 */
import { errata } from './errata.ts';
import type { Erratum } from './errata.ts';
import type { ArchitectureModel, Outcome, Platform, ProbeName, Stage1Type } from './model.ts';
import { OUTCOMES } from './model.ts';
import { outcomesOf } from './outcomes.ts';
import { locksBus } from './x86/bus-lock.ts';
import { mayBePaced } from './x86/timing.ts';
import type { Paces } from './x86/timing.ts';

/**
 * type: some other stage-2 type would have shown another outcome. stage1: only another stage 1 would have. kvm-policy: the outcome
 * is KVM's choice, which goes with the type and does not come from it. function: that the access works, which says nothing of types.
 */
export const SPEAKS_OF = ['type', 'stage1', 'kvm-policy', 'function'] as const;

export type SpeaksOf = (typeof SPEAKS_OF)[number];

/** One check, by what is predicted for it. */
export interface WeighedCheck {
  readonly probe: ProbeName;
  readonly stage1: Stage1Type;
  /** As memattr names it, or TRAPPED. */
  readonly stage2: string;
  readonly effective: string;
  /** The outcomes that are as predicted; null where none would prove anything. */
  readonly predicted: readonly Outcome[] | null;
}

export interface Worth {
  readonly speaksOf: SpeaksOf;
  /** Names of stage-2 types that the predicted outcome rules out; some exactly where `speaksOf` is `type`. */
  readonly excludes: readonly string[];
  /** The deviation of this emulator without which the check would exclude something. */
  readonly blindBy: Erratum | null;
}

/** KVM maps what is not cacheable execute-never, whatever the CPU would do with a fetch. */
const KVM_POLICY: ReadonlySet<ProbeName> = new Set(['fetch']);
/** Reads what the guest wrote into its own tables. */
const STAGE1_ALONE: ReadonlySet<ProbeName> = new Set(['stage1-self-check']);

/** @param emulator such as `qemu-10.0.2`; null on hardware, which has no errata here */
export function worthOf(
  model: ArchitectureModel,
  platform: Platform,
  check: WeighedCheck,
  emulator: string | null,
): Worth {
  const { probe, predicted } = check;
  if (KVM_POLICY.has(probe)) return worthless('kvm-policy');
  if (STAGE1_ALONE.has(probe)) return worthless('stage1');
  if (predicted === null) return worthless('function');
  const known = errata.filter((erratum) => emulator !== null && erratum.emulator.test(emulator));
  const definite = { ...check, predicted };
  const excludes = excludedBy(model, platform, definite, known);
  const blinds = (one: Erratum): boolean =>
    excludedBy(
      model,
      platform,
      definite,
      known.filter((other) => other !== one),
    ).length > 0;
  if (excludes.length > 0) return { speaksOf: 'type', excludes, blindBy: null };
  if (excludedBy(model, platform, definite, []).length > 0)
    return { ...worthless('function'), blindBy: known.find(blinds) ?? null };
  return worthless(dependsOnStage1(model, platform, definite) ? 'stage1' : 'function');
}

/** Some outcome would prove something. */
interface DefiniteCheck extends WeighedCheck {
  readonly predicted: readonly Outcome[];
}

function worthless(speaksOf: SpeaksOf): Worth {
  return { speaksOf, excludes: [], blindBy: null };
}

function excludedBy(
  model: ArchitectureModel,
  platform: Platform,
  check: DefiniteCheck,
  known: readonly Erratum[],
): readonly string[] {
  const { probe, stage1, stage2, predicted } = check;
  if (!model.probes.includes(probe)) return [];
  const seen = withErrata(predicted, check, known);
  return model.stage2Types(platform).filter((other) => {
    if (other === stage2) return false;
    const outcomes = outcomesOf(model.predict(probe, stage1, other, platform));
    const swapped = { ...check, stage2: other, effective: model.effective(stage1, other, platform) };
    return outcomes !== null && areApart(seen, withErrata(outcomes, swapped, known));
  });
}

/** Every outcome that the emulator may show where the architecture has these. */
function withErrata(
  outcomes: readonly Outcome[],
  { probe, stage1, stage2, effective }: WeighedCheck,
  known: readonly Erratum[],
): readonly Outcome[] {
  const of = { probe, stage1: stage1.name, stage2, effective };
  const deviating = OUTCOMES.filter((observed) =>
    outcomes.some((predicted) => known.some((erratum) => erratum.matches({ ...of, predicted, observed }))),
  );
  return [...outcomes, ...deviating];
}

function areApart(some: readonly Outcome[], others: readonly Outcome[]): boolean {
  return !some.some((outcome) => others.includes(outcome));
}

/** Would a guest with another type of its own have seen something else, whatever stage 2 was? */
function dependsOnStage1(model: ArchitectureModel, platform: Platform, { probe, predicted }: DefiniteCheck): boolean {
  if (!model.probes.includes(probe)) return false;
  return model.stage1Types.some((stage1) =>
    model.stage2Types(platform).some((stage2) => {
      const outcomes = outcomesOf(model.predict(probe, stage1, stage2, platform));
      return outcomes !== null && areApart(predicted, outcomes);
    }),
  );
}

/** Types whose accesses take the same time. */
const TIMED_ALIKE: readonly (readonly string[])[] = [['UC', 'UC-', 'CD'], ['WC', 'WC+'], ['WT', 'WP'], ['WB']];

/** The types that one access takes as long on as on this one, itself among them. */
export function timedAlike(type: string): readonly string[] {
  return TIMED_ALIKE.find((row) => row.includes(type)) ?? [type];
}

/** What a type that timing has confirmed rules out: each stage-2 type with which the timing would have been another's. */
export function excludedByTiming(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  effective: string,
): readonly string[] {
  const confirmed = new Set(effective.split(' or ').flatMap(timedAlike));
  return model.stage2Types(platform).filter(
    (other) =>
      !model
        .effective(stage1, other, platform)
        .split(' or ')
        .some((type) => confirmed.has(type)),
  );
}

/** The stage-1 type that the guest's own measure of timing has. */
const UNCACHED = 'UC';

/** May timing beside the window's own uncached mapping be so, with this stage 2? */
export function mayBeTimed(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  stage2: string,
  seen: Paces,
): boolean {
  const reference = model.stage1Named(UNCACHED);
  if (reference === null) return true;
  return mayBePaced(model.effective(stage1, stage2, platform), model.effective(reference, stage2, platform), seen);
}

/** Stage-2 types with which the timing beside the window's own uncached mapping would have been another. */
export function excludedByPaces(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  seen: Paces,
): readonly string[] {
  return model.stage2Types(platform).filter((other) => !mayBeTimed(model, platform, stage1, other, seen));
}

/** Stage-2 types with which a locked access would have locked the bus where it did not, or the other way round. */
export function excludedByBusLock(
  model: ArchitectureModel,
  platform: Platform,
  stage1: Stage1Type,
  locked: boolean,
): readonly string[] {
  return model.stage2Types(platform).filter((other) => locksBus(model.effective(stage1, other, platform)) === !locked);
}
