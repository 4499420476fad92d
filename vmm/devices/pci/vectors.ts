/** A vector's words in InterruptOptions.state, which all vCPUs' threads share. */

export const VECTOR = {
  /** Plus 1; 0: none yet. */
  eventfd: 0,
  /** VFIO signals the eventfd. */
  isArmed: 1,
  /** KVM takes its signals. */
  isAssigned: 2,
  /** An interrupt came while nobody took the signals. */
  isPending: 3,
  /** KVM has a route for it: the next three. */
  isRouted: 4,
  addressLow: 5,
  addressHigh: 6,
  data: 7,
} as const;

const VECTOR_WORDS = 8;

export function vectorWord(vector: number, which: keyof typeof VECTOR): number {
  return vector * VECTOR_WORDS + VECTOR[which];
}

/** The word behind the vectors': how many of them VFIO has been asked for. */
export function enabledWord(vectors: number): number {
  return vectors * VECTOR_WORDS;
}

export function newVectorState(vectors: number): SharedArrayBuffer {
  return new SharedArrayBuffer((vectors * VECTOR_WORDS + 1) * 4);
}
