import type { Unserved } from '../bus/bus.ts';
import type { DeviceDescription } from '../bus/device.ts';
import type { Port } from '../sys/port.ts';
import type { BusLockLabel, VcpuRun } from './vcpu-protocol.ts';
import type { Vcpu } from './vcpu.ts';

export interface VcpuRunOptions {
  readonly devices: readonly DeviceDescription[];
  /** Default: it ends the run. */
  readonly unserved?: Unserved;
  readonly busLockLabel?: BusLockLabel | null;
  /** On the main thread: awaited each time before the guest goes on, so that whoever reads what it wrote can keep up. */
  readonly onPause?: () => Promise<void>;
}

/** Runs vCPUs, one after the other: a thread of its own, or the main one. */
export interface VcpuRunner {
  /** The kernel's id of the thread in which KVM runs the vCPU. Throws E_VCPU if it died before it ran. */
  id(): Promise<number>;
  /** Loads the modules of devices that it will run with, for a process that can load nothing later. Throws as `run` does. */
  prepare(devices: readonly DeviceDescription[]): Promise<void>;
  /**
   * Runs the vCPU until an exit that no device serves, or until `kick`: the exit is then `interrupted`, and the same vCPU
   * can be run again and goes on. One at a time.
   *
   * Throws E_VCPU when the thread dies, or a device's module fails: that ends the run at once.
   */
  run(port: Port, vcpu: Vcpu, options: VcpuRunOptions): Promise<VcpuRun>;
  /** Stops the vCPU that runs; nothing otherwise. */
  kick(): void;
  /** Ends it; a run that is under way is stopped. */
  close(): Promise<void>;
}
