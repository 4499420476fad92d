/** What one look at the machine found; a line of `wcvmm doctor`, and of its JSON ("wcvmm.doctor/1": a field may be added, none changes meaning). */

export type State = 'ok' | 'missing' | 'unknown' | 'note';

export interface Finding {
  /** Stable: for scripts. */
  readonly id: string;
  readonly state: State;
  /** What was seen, in a sentence or less. */
  readonly detail: string;
  /** What to do; null where there is nothing to do. */
  readonly mend: string | null;
  /** `verify` with the chosen source would not run because of this. */
  readonly blocks: boolean;
}

export function ok(id: string, detail: string): Finding {
  return { id, state: 'ok', detail, mend: null, blocks: false };
}

export function note(id: string, detail: string, mend: string | null = null): Finding {
  return { id, state: 'note', detail, mend, blocks: false };
}

/** `blocks` as well as missing: it could not be found out, and `verify` needs it. */
export function unknown(id: string, detail: string, mend: string | null, blocks = false): Finding {
  return { id, state: 'unknown', detail, mend, blocks };
}

export function missing(id: string, detail: string, mend: string, blocks: boolean): Finding {
  return { id, state: 'missing', detail, mend, blocks };
}
