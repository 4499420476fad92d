/** memattr: from what user space asks for to what a guest must see. Pure: no I/O, and nothing imported from elsewhere. */
export { arm64 } from './arm64.ts';
export { BSA_RULES, bsaRules, bsaRulesOf } from './bsa.ts';
export type { Alignment, BsaRule } from './bsa.ts';
export { combine, combineShareability, decodeShareability } from './combine.ts';
export type { Shareability } from './combine.ts';
export { errata, translationErrata } from './errata.ts';
export type { Erratum, ErratumCheck, TranslatedCheck, TranslationErratum } from './errata.ts';
export {
  SPEAKS_OF,
  excludedByBusLock,
  excludedByPaces,
  excludedByTiming,
  mayBeTimed,
  timedAlike,
  worthOf,
} from './exclusion.ts';
export type { SpeaksOf, WeighedCheck, Worth } from './exclusion.ts';
export { MEMORY_KINDS, memoryKindOf } from './kinds.ts';
export type { MemoryKind } from './kinds.ts';
export { decodeMair, encodeMair, normalTagged } from './mair.ts';
export { describe, nameOf } from './memory-type.ts';
export type { Cacheability, MemoryType } from './memory-type.ts';
export { ARCHES, ATTRIBUTES, MTRR_TYPES, NESTED_PAGING, OUTCOMES, PROBES, SOURCES } from './model.ts';
export type {
  WindowAccess,
  Arch,
  ArchitectureModel,
  Attribute,
  MtrrType,
  NestedPaging,
  Outcome,
  Platform,
  Prediction,
  ProbeName,
  Source,
  Stage1Type,
  Strictness,
  TrappedModel,
  TypeKind,
} from './model.ts';
export { MODELS, kindOfType } from './models.ts';
export { outcomesOf } from './outcomes.ts';
export { HAZARDOUS, hazardsOf, hazardsOfType } from './silicon.ts';
export type { Hazard, Hazardous, Silicon } from './silicon.ts';
export { KVM_STAGE2, decodeStage2, encodeStage2, nameOfStage2 } from './stage2.ts';
export type { KvmStage2, Stage2Attribute, Stage2Features } from './stage2.ts';
export { TRAPPED } from './trapped.ts';
export { x86 } from './x86.ts';
export { RECORDED, excludedByRecord, isRecorded, mayBeRecorded, recordedAs } from './x86/accesses.ts';
export type { AccessCounts, Recorded } from './x86/accesses.ts';
export { locksBus } from './x86/bus-lock.ts';
export { combineEpt, decodeEpt, encodeEpt } from './x86/ept.ts';
export type { EptEntry, EptType } from './x86/ept.ts';
export { usualMtrr } from './x86/linux.ts';
export { combineAmd, combineIntel } from './x86/mtrr.ts';
export type { AmdType } from './x86/mtrr.ts';
export { MTRR_MSR, mtrrTypeOf } from './x86/mtrr-ranges.ts';
export type { Mtrrs } from './x86/mtrr-ranges.ts';
export { combineNpt, combinePats } from './x86/npt.ts';
export {
  LINUX_PAT,
  decodePat,
  decodePatMsr,
  encodePat,
  encodePatMsr,
  lookUpPat,
  patBitsOf,
  patIndex,
} from './x86/pat.ts';
export type { Pat, PatBits, PatEntry, PatType } from './x86/pat.ts';
export { nameOfLeaf, nameOfX86Stage2, x86Stage2Of } from './x86/stage2.ts';
export type { X86Stage2 } from './x86/stage2.ts';
export { PACES, mayBePaced } from './x86/timing.ts';
export type { Pace, Paces } from './x86/timing.ts';
export { remembering } from './remembered.ts';
