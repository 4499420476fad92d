/** What the main thread and a vCPU's thread say to each other. */
import type { Unserved } from '../bus/bus.ts';
import type { DeviceDescription } from '../bus/device.ts';
import type { VcpuExit } from './exits.ts';

/**
 * A 32-bit word of guest memory, by its host-virtual address, by whose value at the time bus locks are counted: a guest
 * can say there what it is doing. Values above `most` count as 0, so that no guest can make the count grow without end.
 */
export interface BusLockLabel {
  readonly address: bigint;
  readonly most: number;
}

/** The thread imports the modules of devices that it will have, and answers. */
export interface PrepareRequest {
  readonly prepare: readonly DeviceDescription[];
}

export interface RunRequest {
  readonly vcpu: number;
  /** Where struct kvm_run is mapped, and its length in bytes. */
  readonly runAddress: bigint;
  readonly runLength: number;
  readonly devices: readonly DeviceDescription[];
  readonly unserved: Unserved;
  readonly busLockLabel: BusLockLabel | null;
  /** As busErrorTable says in the main thread. */
  readonly busErrors: bigint | null;
}

/** Bus locks that KVM has told of. */
export interface BusLocks {
  /** As in BusLockLabel; 0 without one. */
  readonly label: number;
  readonly count: number;
}

export interface VcpuRun {
  readonly exit: VcpuExit;
  readonly busLocks: readonly BusLocks[];
}

export type FromVcpu =
  | { readonly kind: 'ready'; readonly thread: number }
  | { readonly kind: 'prepared' }
  | { readonly kind: 'exit'; readonly run: VcpuRun }
  /** The run could not begin or go on: a device's module failed. */
  | { readonly kind: 'failed'; readonly error: Error };
