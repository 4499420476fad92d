import type { ProbeName } from '../memattr/index.ts';

/** arm64's whose access is unaligned. */
export const UNALIGNED: readonly ProbeName[] = [
  'unaligned-load',
  'unaligned-store',
  'unaligned-load-simd',
  'unaligned-store-simd',
  'unaligned-load-pair',
  'unaligned-store-pair',
];

/** arm64's that ask for what Device memory has no room for: an access across its own size, or a whole block. */
export const ALIGNMENT: readonly ProbeName[] = [...UNALIGNED, 'simd-half-aligned', 'zero-block'];
