import type { WindowAccess } from '../../memattr/index.ts';
import type { HostMapping } from './mapping.ts';

/** A part of a BAR as a guest gets it. */
export interface GuestWindow {
  /** Where the guest finds it, bytes. */
  readonly gpa: bigint;
  readonly mapping: HostMapping;
  /** `trapped`: no memslot; each of the guest's accesses is an exit, and is made on `mapping`. */
  readonly access: WindowAccess;
}
