/** All that differs between architectures when KVM is used; index.ts has one object for each. */
import type { Arch, NestedPaging } from '../../../memattr/index.ts';
import type { Port } from '../../sys/port.ts';

export interface KvmFacts {
  /** arm64: stage 2 can force write-back (FEAT_S2FWB); null where there is no such thing. */
  readonly fwb: boolean | null;
  /** arm64: KVM forwards alignment faults that stage 2 causes to the guest; null: it does not say, or is not arm64's. */
  readonly faultForwarding: boolean | null;
  /** arm64: KVM says what both stages make of an address (KVM_CAP_ARM_TRANSLATE); null: not arm64's. */
  readonly translates: boolean | null;
  /** KVM can give a guest memory tagging. */
  readonly mte: boolean;
  /** x86: the CPU's name of its vendor; null where unknown or not x86. */
  readonly vendor: string | null;
  /** x86: what pages guests; null: shadow page tables, unknown, or not x86. */
  readonly nestedPaging: NestedPaging | null;
  /** x86: in a VM after enableExits, RAM has the types of the guest's PAT; false: EPT makes it write-back; null: not x86's. */
  readonly guestPat: boolean | null;
  /** x86: ticks of the guest's time stamp counter per second; null where unknown, or where the guest knows of its own. */
  readonly ticksPerSecond: number | null;
}

/** What KVM_RUN ends for that it would not without being asked. */
export interface Exits {
  /** Each bus lock. */
  readonly busLocks: boolean;
}

/** Where a vCPU begins, with paging off, and what it finds in its first register (arm64 x0, x86 rbx). */
export interface BareEntry {
  readonly entry: bigint;
  readonly argument: bigint;
}

export interface KvmArchitecture {
  readonly name: Arch;
  /** Puts a fresh vCPU at `entry`: arm64 at EL1 with MMU and caches off, x86 in flat 32-bit protected mode. */
  initBareVcpu(port: Port, vm: { readonly kvm: number; readonly vm: number }, vcpu: number, start: BareEntry): void;
  /**
   * Asks KVM, before there is a vCPU, to tell of what it would hide, or would only end a VM for, and to leave RAM the types of
   * the guest's own tables.
   */
  enableExits(port: Port, vm: { readonly vm: number }): Exits;
  /** What this KVM's machines can do that changes what to expect of them. */
  facts(port: Port, vm: { readonly vm: number }, vcpu: number): KvmFacts;
}
