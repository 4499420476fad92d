/** The arm64 model: Linux's choices (sources.ts), how the stages combine (combine.ts), and what follows (predict.ts). */
import { combine } from './combine.ts';
import { kindOfNames } from './kinds.ts';
import { STAGE1_TYPES, decodeMair, normalTagged } from './mair.ts';
import { nameOf } from './memory-type.ts';
import type { MemoryType } from './memory-type.ts';
import type { ArchitectureModel, Platform, Prediction, ProbeName, Stage1Type, TypeKind } from './model.ts';
import { ARM64_PROBES, predictArm64 } from './predict.ts';
import { kvmStage2, linuxMapping } from './sources.ts';
import { stage2Named, stage2Names } from './stage2.ts';
import { outcomesOf } from './outcomes.ts';
import { strictnessOf } from './strictness.ts';
import { trappedStrictness } from './trapped.ts';
import { TRAPPED_ARM64_PROBES, predictTrappedArm64 } from './trapped-arm64.ts';

/**
 * Each type that is possible on the platform: two where it is not known whether FWB is on. They only differ for stage-2
 * Write-Back, that is for ordinary memory.
 */
function effectiveTypes(stage1: Stage1Type, stage2: string, { fwb }: Platform): readonly MemoryType[] {
  const own = decodeMair(stage1.encoding);
  return possibleFwb(fwb).map((on) => combine(own, stage2Named(stage2, { fwb: on })));
}

function possibleFwb(fwb: Platform['fwb']): readonly boolean[] {
  return fwb === null ? [true, false] : [fwb];
}

/** Where it is not known whether FWB is on, those that stage 2 has either way. */
function stage2Types({ fwb }: Platform): readonly string[] {
  return possibleFwb(fwb)
    .map((on) => stage2Names({ fwb: on }))
    .reduce((some, others) => some.filter((name) => others.includes(name)));
}

function effective(stage1: Stage1Type, stage2: string, platform: Platform): string {
  return [...new Set(effectiveTypes(stage1, stage2, platform).map(nameOf))].join(' or ');
}

function predict(probe: ProbeName, stage1: Stage1Type, stage2: string, platform: Platform): Prediction {
  const { faultForwarding, mte } = platform;
  const combination = { stage1: decodeMair(stage1.encoding), stage2, faultForwarding, mte };
  return effectiveTypes(stage1, stage2, platform)
    .map((type) => predictArm64(probe, { ...combination, effective: type }))
    .reduce(either);
}

/** With FWB or without, where it is not known whether it is on. */
export function either(forced: Prediction, combined: Prediction): Prediction {
  const [some, others] = [outcomesOf(forced), outcomesOf(combined)];
  const why = `it is not known whether FWB is on. With it: ${forced.why}. Without it: ${combined.why}`;
  if (some === null || others === null) return forced.kind === combined.kind ? forced : { kind: 'any', why };
  const outcomes = [...new Set([...some, ...others])];
  return outcomes.length === some.length ? forced : { kind: 'one-of', outcomes, why };
}

/** Without the G of gathering, stores are kept apart. */
function kindOfOne(type: MemoryType): TypeKind {
  switch (type.kind) {
    case 'device':
      return type.device === 'GRE' ? 'combining' : 'strict';
    case 'normal':
      return type.outer.policy === 'NC' && type.inner.policy === 'NC' ? 'combining' : 'cached';
    case 'reserved':
      return 'unknown';
  }
}

/** Of every type that a MAIR byte can say, and of the one that only stage 2 makes. */
const KINDS: ReadonlyMap<string, TypeKind> = new Map(
  Array.from({ length: 256 }, (_, byte) => decodeMair(byte))
    .concat(combine(decodeMair(normalTagged.encoding), { kind: 'pass', tagAccess: false }))
    .map((type) => [nameOf(type), kindOfOne(type)]),
);

function isStrict(type: string): boolean {
  return KINDS.get(type) === 'strict';
}

export const arm64: ArchitectureModel = {
  arch: 'arm64',
  stage1Types: STAGE1_TYPES,
  stage1Named: (name) => [...STAGE1_TYPES, normalTagged].find((type) => type.name === name) ?? null,
  combiningType: 'Normal-NC',
  kindOf: (type) => kindOfNames(type, KINDS),
  probes: ARM64_PROBES,
  hostVma: (attribute, source) => linuxMapping(attribute, source).hostVma,
  stage2: (attribute, source) => kvmStage2(linuxMapping(attribute, source)),
  stage2Types,
  effective,
  predict,
  strictness: (attribute, source, platform) => {
    const stage2 = kvmStage2(linuxMapping(attribute, source));
    return strictnessOf(
      STAGE1_TYPES.map((stage1) => ({ stage1: stage1.name, effective: effective(stage1, stage2, platform) })),
      isStrict,
    );
  },
  trapped: {
    probes: TRAPPED_ARM64_PROBES,
    effective: (attribute, source) => linuxMapping(attribute, source).hostVma,
    predict: predictTrappedArm64,
    strictness: (attribute, source) => trappedStrictness(linuxMapping(attribute, source).hostVma, isStrict),
  },
};
