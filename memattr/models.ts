import { arm64 } from './arm64.ts';
import { ARCHES } from './model.ts';
import type { Arch, ArchitectureModel, TypeKind } from './model.ts';
import { x86 } from './x86.ts';

export const MODELS: Readonly<Record<Arch, ArchitectureModel>> = { arm64, x86 };

/** Of a type that some model names: no name means two things. */
export function kindOfType(type: string): TypeKind {
  return ARCHES.map((arch) => MODELS[arch].kindOf(type)).find((kind) => kind !== 'unknown') ?? 'unknown';
}
