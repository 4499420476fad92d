import type { Scope } from '../../../common/scope.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { Stage2Dump } from './stage2.ts';

/** One VM, from before its vCPU first runs. */
export interface WatchedVm {
  /** Name of its folder in debugfs. */
  readonly debugName: string;
  /** Id of the thread that runs the vCPU, and in which KVM therefore makes its entries. */
  readonly vcpuThread: number;
  /** How many pages of windows the guest touches, at most; absent: the first of each. */
  readonly pages?: number;
  /** Guest-physical ranges that are in question; absent: where a bare guest has its windows. */
  readonly ranges?: readonly { readonly gpa: bigint; readonly length: bigint }[];
}

/** What KVM programs, watched until `scope` closes; to be read while the VM lives. */
export interface Stage2Watch {
  read(): Stage2Dump;
}

export type WatchStage2 = (port: Port, scope: Scope, vm: WatchedVm) => Promise<Stage2Watch>;

export function unreadable(why: string): Stage2Watch {
  return { read: () => ({ kind: 'unavailable', why }) };
}
