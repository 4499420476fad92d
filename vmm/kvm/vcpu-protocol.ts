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

export interface RunRequest {
  readonly vcpu: number;
  /** Where struct kvm_run is mapped, and its length in bytes. */
  readonly runAddress: bigint;
  readonly runLength: number;
  /** Guest-physical address of the doorbell page. */
  readonly doorbell: bigint;
  readonly exchanges: readonly Exchange[];
}

/** Why a vCPU stopped. */
export type VcpuExit =
  | { readonly kind: 'done'; readonly status: number }
  /** KVM_RUN failed: with EFAULT after a stage-2 alignment fault, the guest has killed its VM. */
  | { readonly kind: 'killed'; readonly errno: number }
  /** Interrupted from outside: a timeout or Ctrl-C. */
  | { readonly kind: 'interrupted' }
  /** An access to a guest-physical address that is neither a memslot nor the doorbell. */
  | { readonly kind: 'unmapped'; readonly address: bigint; readonly isWrite: boolean; readonly length: number }
  | { readonly kind: 'unexpected'; readonly reason: number; readonly detail: number };

export type FromVcpu =
  | { readonly kind: 'ready'; readonly thread: number }
  | { readonly kind: 'console'; readonly text: string }
  | { readonly kind: 'exit'; readonly exit: VcpuExit; readonly hostChecks: readonly HostCheck[] };
