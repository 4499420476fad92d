/**
 * What stands on a bus. A vCPU is a thread with a JavaScript heap of its own, so a device cannot be an object that vCPUs
 * share. It is a description, plain data that every thread gets, and from which each builds a handler; what the handlers
 * share is in SharedArrayBuffers of the description, and what they do is system calls on file descriptors of the process.
 */
import type { Port } from '../sys/port.ts';
import type { AddressSpace, VcpuExit } from '../kvm/exits.ts';

/** Where a device is: bytes [base, base + size). Guest-physical addresses have at most 52 bits, so a number holds them. */
export interface Place {
  readonly space: AddressSpace;
  readonly base: number;
  readonly size: number;
}

export interface DeviceDescription extends Place {
  /**
   * URL of the module that exports `createDevice`. A module of the VMM's own, or of whoever uses it: every thread imports
   * it, and its code then runs with all the rights of the process.
   */
  readonly module: string;
  /** What `createDevice` is called with; it must survive structured cloning. */
  readonly options: unknown;
}

/**
 * A handler. The bus has checked that an access lies within the device: `offset` is from its base, `length` 1 to 8 bytes,
 * and `data` starts with what is stored, or takes what is loaded. What comes back ends the run of the vCPU; null: it goes on.
 */
export interface Device {
  /** Absent: nothing can be loaded here, as if nothing were mapped. */
  read?(offset: number, length: number, data: DataView): VcpuExit | null;
  /** Absent: nothing can be stored here. */
  write?(offset: number, length: number, data: DataView): VcpuExit | null;
}

/** What a handler may know of the vCPU whose thread it is in. */
export interface VcpuContext {
  readonly port: Port;
  /** Its file descriptor. Absent: there is no vCPU, as in tests of a device alone. */
  readonly vcpu?: number;
  /** True once somebody wants the vCPU to stop; a handler that waits must look. */
  isStopping(): boolean;
}

/** The export of a device's module. */
export type CreateDevice = (context: VcpuContext, options: unknown) => Device;

/** A device's module that is loaded. */
export interface DeviceModule {
  /** As in DeviceDescription. */
  readonly url: string;
  readonly createDevice: CreateDevice;
}
