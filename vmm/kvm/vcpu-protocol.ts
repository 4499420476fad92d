/** What the main thread and the vCPU thread say to each other. */

/**
 * A data probe's other half. The guest rings the doorbell with its cell's number, and the VMM writes the pattern into the
 * BAR, or looks for the one that the guest wrote, through the host's own mapping.
 */
export interface Exchange {
  readonly cell: number;
  readonly direction: 'host-writes' | 'host-reads';
  /** Host-virtual address of the 64 bytes. */
  readonly address: bigint;
  readonly seed: bigint;
}

/** What the host read where the guest says that it wrote; `firstBad` is the index of a 64-bit word, null = all right. */
export interface HostCheck {
  readonly cell: number;
  readonly firstBad: number | null;
}

/** Guest-physical bytes with no memslot, whose accesses the VMM makes on its own mapping at host-virtual `address`. */
export interface TrappedWindow {
  readonly gpa: bigint;
  readonly length: bigint;
  readonly address: bigint;
}

export interface RunRequest {
  readonly vcpu: number;
  /** Where struct kvm_run is mapped, and its length in bytes. */
  readonly runAddress: bigint;
  readonly runLength: number;
  /** Guest-physical address of the doorbell page. */
  readonly doorbell: bigint;
  readonly exchanges: readonly Exchange[];
  readonly trapped: readonly TrappedWindow[];
  /** How many the guest was given, and the host-virtual address of the log's 32-bit word that names the one under way. */
  readonly cells: { readonly count: number; readonly underWay: bigint };
}

/** Why a vCPU stopped. */
export type VcpuExit =
  | { readonly kind: 'done'; readonly status: number }
  /** KVM_RUN failed: with EFAULT after a stage-2 alignment fault, the guest has killed its VM. */
  | { readonly kind: 'killed'; readonly errno: number }
  /**
   * An instruction that KVM would have had to carry out for the guest, and cannot. x86: its bytes, as far as KVM tells;
   * arm64: the guest-physical address of an access whose syndrome does not say what it was.
   */
  | { readonly kind: 'not-emulated'; readonly instruction: string | null; readonly address: bigint | null }
  /** Interrupted from outside: a timeout or Ctrl-C. */
  | { readonly kind: 'interrupted' }
  /** An access to a guest-physical address that is no memslot, no trapped window and not the doorbell; its length, bytes, where KVM knows. */
  | { readonly kind: 'unmapped'; readonly address: bigint; readonly isWrite: boolean; readonly length: number | null }
  /** An access that starts in a trapped window and does not end in it. */
  | { readonly kind: 'leaves-window'; readonly address: bigint; readonly isWrite: boolean; readonly length: number }
  /** x86: a triple fault. */
  | { readonly kind: 'shutdown' }
  /** The CPU refused the guest's state; the reason is the CPU's own. */
  | { readonly kind: 'entry-failed'; readonly reason: bigint }
  | { readonly kind: 'unexpected'; readonly reason: number; readonly detail: number };

/** Bus locks that KVM has told of. */
export interface BusLocks {
  /** What was under way by the guest's own log; null = nothing was. */
  readonly cell: number | null;
  readonly count: number;
}

export interface VcpuRun {
  readonly exit: VcpuExit;
  readonly hostChecks: readonly HostCheck[];
  readonly busLocks: readonly BusLocks[];
  /** Accesses that were served, by trapped window. */
  readonly trappedExits: readonly number[];
}

export type FromVcpu =
  | { readonly kind: 'ready'; readonly thread: number }
  | { readonly kind: 'console'; readonly text: string }
  | { readonly kind: 'exit'; readonly run: VcpuRun };
