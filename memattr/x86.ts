/** The x86 model, of both vendors: they differ by the nested paging that KVM uses, which the platform names. */
import type {
  ArchitectureModel,
  Attribute,
  Platform,
  Prediction,
  ProbeName,
  Source,
  Stage1Type,
  Strictness,
  TypeKind,
} from './model.ts';
import { kindOfNames } from './kinds.ts';
import { strictnessOf } from './strictness.ts';
import { trappedStrictness } from './trapped.ts';
import { kvmX86Stage2, linuxX86Mapping } from './x86/linux.ts';
import type { AmdType } from './x86/mtrr.ts';
import { STAGE1_TYPES, decodePat } from './x86/pat.ts';
import type { PatType } from './x86/pat.ts';
import { X86_PROBES, predictX86 } from './x86/predict.ts';
import { X86_STAGE2, combineX86, nameOfX86Stage2, x86Stage2Of } from './x86/stage2.ts';
import { TRAPPED_PROBES, hostTypes, predictTrappedX86 } from './x86/trapped.ts';

function effective(stage1: Stage1Type, stage2: string, platform: Platform): string {
  const own = decodePat(stage1.encoding);
  const nested = x86Stage2Of(stage2);
  return own.kind === 'reserved' ? 'reserved' : combineX86(own.type, nested, platform).join(' or ');
}

function predict(probe: ProbeName, stage1: Stage1Type, stage2: string, platform: Platform): Prediction {
  const own = decodePat(stage1.encoding);
  const nested = x86Stage2Of(stage2);
  if (own.kind === 'reserved') return { kind: 'any', why: own.why };
  return predictX86(probe, { stage2: nested, effective: combineX86(own.type, nested, platform) });
}

function strictness(attribute: Attribute, source: Source, platform: Platform): Strictness {
  const stage2 = kvmX86Stage2(linuxX86Mapping(attribute, source), platform);
  if (stage2.paging === 'unknown')
    return {
      strict: false,
      why: 'not known: KVM uses neither EPT nor NPT, or does not say which',
    };
  const name = nameOfX86Stage2(stage2);
  const found = strictnessOf(
    STAGE1_TYPES.map((stage1) => ({ stage1: stage1.name, effective: effective(stage1, name, platform) })),
    isStrict,
  );
  if (found.strict || stage2.paging !== 'npt' || stage2.type !== 'UC') return found;
  return {
    ...found,
    why: `${found.why}: AMD's nested paging cannot ignore a guest's PAT (APM vol. 2, table 15-19)`,
  };
}

const KIND: Readonly<Record<AmdType | PatType, TypeKind>> = {
  UC: 'strict',
  'UC-': 'strict',
  CD: 'strict',
  WC: 'combining',
  'WC+': 'combining',
  WP: 'cached',
  WT: 'cached',
  WB: 'cached',
};

/** Of every type of an access and of a page table, and of what stage 2 can say. */
const KINDS: ReadonlyMap<string, TypeKind> = new Map<string, TypeKind>([
  ...Object.entries(KIND),
  ...X86_STAGE2.map((stage2): [string, TypeKind] => [
    nameOfX86Stage2(stage2),
    stage2.paging === 'unknown' ? 'unknown' : KIND[stage2.type],
  ]),
]);

function isStrict(type: string): boolean {
  return KINDS.get(type) === 'strict';
}

function effectiveTrapped(attribute: Attribute, source: Source, platform: Platform): string {
  return hostTypes(linuxX86Mapping(attribute, source).hostVma, platform).join(' or ');
}

export const x86: ArchitectureModel = {
  arch: 'x86',
  stage1Types: STAGE1_TYPES,
  stage1Named: (name) => STAGE1_TYPES.find((type) => type.name === name) ?? null,
  combiningType: 'WC',
  kindOf: (type) => kindOfNames(type, KINDS),
  probes: X86_PROBES,
  hostVma: (attribute, source) => linuxX86Mapping(attribute, source).hostVma,
  stage2: (attribute, source, platform) => nameOfX86Stage2(kvmX86Stage2(linuxX86Mapping(attribute, source), platform)),
  stage2Types: ({ nestedPaging }) => X86_STAGE2.filter(({ paging }) => paging === nestedPaging).map(nameOfX86Stage2),
  effective,
  predict,
  strictness,
  trapped: {
    probes: TRAPPED_PROBES,
    effective: effectiveTrapped,
    predict: (probe) => predictTrappedX86(probe),
    strictness: (attribute, source, platform) =>
      trappedStrictness(effectiveTrapped(attribute, source, platform), isStrict),
  },
};
