/** One thing that was found out about the machine: a line of `wcvmm doctor`. */

export type State = 'ok' | 'missing' | 'unknown' | 'note';

/** Also in the JSON ("wcvmm.doctor/2"): a field may be added, none changes meaning. */
export interface Finding {
  /** Stable: for scripts. */
  readonly id: string;
  readonly state: State;
  /** What was seen, in a sentence or less. */
  readonly detail: string;
  /** How to fix it; null where there is nothing to fix. */
  readonly fix: string | null;
  /** `verify` with the chosen source would not run because of this. */
  readonly blocks: boolean;
}

export function ok(id: string, detail: string): Finding {
  return { id, state: 'ok', detail, fix: null, blocks: false };
}

export function note(id: string, detail: string, fix: string | null = null): Finding {
  return { id, state: 'note', detail, fix, blocks: false };
}

/** With `blocks` it could not be found out, and `verify` needs it. */
export function unknown(id: string, detail: string, fix: string | null, blocks = false): Finding {
  return { id, state: 'unknown', detail, fix, blocks };
}

export function missing(id: string, detail: string, fix: string, blocks: boolean): Finding {
  return { id, state: 'missing', detail, fix, blocks };
}
