/** How relaxed a type is that a report names, where more than one may be possible. */
import type { TypeKind } from './model.ts';

/** arm64: what an unaligned access tells of a memory type. */
export const MEMORY_KINDS = ['Device', 'Normal'] as const;

export type MemoryKind = (typeof MEMORY_KINDS)[number];

/** Of an arm64 type by its name; null for another name. */
export function memoryKindOf(type: string): MemoryKind | null {
  return MEMORY_KINDS.find((kind) => type.startsWith(`${kind}-`)) ?? null;
}

const MOST_RELAXED_FIRST: readonly TypeKind[] = ['unknown', 'cached', 'combining', 'strict'];

/** `A or B` is as relaxed as the more relaxed of the two, and unknown if one is. */
export function kindOfNames(names: string, kinds: ReadonlyMap<string, TypeKind>): TypeKind {
  const found = new Set(names.split(' or ').map((name) => kinds.get(name) ?? 'unknown'));
  return MOST_RELAXED_FIRST.find((kind) => found.has(kind)) ?? 'unknown';
}
