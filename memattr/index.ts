/** memattr: from what user space asks for to what a guest must see. Pure: no I/O, and nothing imported from elsewhere. */
export { arm64 } from './arm64.ts';
export { combine, combineShareability, decodeShareability } from './combine.ts';
export type { Shareability } from './combine.ts';
export { errata } from './errata.ts';
export type { Erratum, ErratumCheck } from './errata.ts';
export { decodeMair, encodeMair, normalTagged } from './mair.ts';
export { describe, nameOf } from './memory-type.ts';
export type { Cacheability, MemoryType } from './memory-type.ts';
export { PROBES } from './model.ts';
export type { ArchitectureModel, Attribute, Outcome, Platform, Prediction, ProbeName, Source, Stage1Type } from './model.ts';
export { KVM_STAGE2, decodeStage2, encodeStage2, nameOfStage2 } from './stage2.ts';
export type { KvmStage2, Stage2Attribute, Stage2Features } from './stage2.ts';
