/** Why a vCPU's run ended, and the exits of KVM_RUN that nothing in the VMM serves. */
import {
  KVM_EXIT,
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_MEMORY_EXIT_FLAG_PRIVATE,
  KVM_RUN_LAYOUT,
  KVM_SYSTEM_EVENT,
} from '../sys/kvm.ts';
import { ERRNO } from '../sys/port.ts';

/** Guest-physical memory, or x86's port I/O. */
export type AddressSpace = 'mmio' | 'pio';

/** Guest-physical addresses and lengths are bytes; on x86's port I/O an address is a port. */
export type VcpuExit =
  /** A device ended the run, as a doorbell does; the status is the guest's. */
  | { readonly kind: 'done'; readonly status: number }
  /** What the guest asked of its firmware, or what ended its VM. */
  | { readonly kind: 'system-event'; readonly event: SystemEvent }
  /** HLT, and KVM has no interrupt controller that could end it. */
  | { readonly kind: 'halted' }
  /** KVM_RUN failed; where KVM says of which access, that too. */
  | { readonly kind: 'killed'; readonly errno: number; readonly fault: MemoryFault | null }
  /**
   * An instruction that KVM would have had to carry out for the guest, and cannot. x86: its bytes, as far as KVM tells;
   * arm64: the guest-physical address of an access whose syndrome does not say what it was.
   */
  | { readonly kind: 'not-emulated'; readonly instruction: string | null; readonly address: bigint | null }
  /** Somebody stopped the vCPU. It can be run again, and goes on where it was. */
  | { readonly kind: 'interrupted' }
  /** An access to an address that is no memslot and no device; its length where KVM knows. */
  | {
      readonly kind: 'unmapped';
      readonly space: AddressSpace;
      readonly address: bigint;
      readonly isWrite: boolean;
      readonly length: number | null;
    }
  /** An access that starts in a device and does not end in it; nothing was touched. */
  | {
      readonly kind: 'crosses-end';
      readonly space: AddressSpace;
      readonly address: bigint;
      readonly isWrite: boolean;
      readonly length: number;
    }
  /** A device behind a trapped window did not answer: its memory decoding is off, or it was reset or taken away. */
  | { readonly kind: 'device-lost'; readonly offset: number; readonly isWrite: boolean }
  /** x86: a triple fault. */
  | { readonly kind: 'shutdown' }
  /** The CPU refused the guest's state; the reason is the CPU's own. */
  | { readonly kind: 'entry-failed'; readonly reason: bigint }
  | { readonly kind: 'unexpected'; readonly reason: number; readonly detail: number };

export type SystemEvent = 'shutdown' | 'reset' | 'crash' | { readonly type: number };

/** Of the access that ended the VM: by KVM_EXIT_MEMORY_FAULT, or by whoever finds it out otherwise. null: not known. */
export interface MemoryFault {
  readonly gpa: bigint;
  readonly length: bigint | null;
  /** The guest takes it for private memory, as confidential guests have. */
  readonly isPrivate: boolean;
  /** Guest-virtual address of the instruction. */
  readonly pc: bigint | null;
  readonly access: 'read' | 'write' | null;
  /** arm64: the memory type did not allow such an access. */
  readonly isAlignment: boolean | null;
}

/** ESR_ELx.ISS.WnR (Arm ARM, "ISS encoding for an exception from a Data Abort"), which KVM leaves in an unknown access's syndrome. */
const WRITE_NOT_READ = 1n << 6n;

/** Entries of an x86 instruction's bytes in struct kvm_run; no instruction is longer. */
const LONGEST_INSTRUCTION = 15;

/**
 * @param state struct kvm_run
 * @param isDevice whether a device would have answered at this guest-physical address, had KVM known what the access was
 */
export function readLastExit(state: DataView, isDevice: (address: bigint) => boolean): VcpuExit {
  const { failEntry, internalError, armNisv, systemEvent } = KVM_RUN_LAYOUT;
  const reason = state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
  const suberror = state.getUint32(internalError.suberror, true);
  switch (reason) {
    case KVM_EXIT.hlt:
      return { kind: 'halted' };
    case KVM_EXIT.shutdown:
      return { kind: 'shutdown' };
    case KVM_EXIT.systemEvent:
      return { kind: 'system-event', event: eventOf(state.getUint32(systemEvent.type, true)) };
    case KVM_EXIT.failEntry:
      return { kind: 'entry-failed', reason: state.getBigUint64(failEntry.reason, true) };
    case KVM_EXIT.armNisv: {
      const address = state.getBigUint64(armNisv.address, true);
      if (isDevice(address)) return { kind: 'not-emulated', instruction: null, address };
      const isWrite = (state.getBigUint64(armNisv.syndrome, true) & WRITE_NOT_READ) !== 0n;
      return { kind: 'unmapped', space: 'mmio', address, isWrite, length: null };
    }
    case KVM_EXIT.internalError:
      if (suberror === KVM_INTERNAL_ERROR_EMULATION) {
        return { kind: 'not-emulated', instruction: instructionOf(state), address: null };
      }
  }
  return { kind: 'unexpected', reason, detail: suberror };
}

/**
 * KVM_RUN's refusal. Only with EFAULT and EHWPOISON does KVM fill struct kvm_run in, and an older one leaves in it what the
 * exit before said: the reason tells.
 */
export function readRefusal(state: DataView, errno: number): VcpuExit {
  const { memoryFault, exitReason } = KVM_RUN_LAYOUT;
  const isFilledIn = errno === ERRNO.EFAULT || errno === ERRNO.EHWPOISON;
  if (!isFilledIn || state.getUint32(exitReason, true) !== KVM_EXIT.memoryFault)
    return { kind: 'killed', errno, fault: null };
  const fault = {
    gpa: state.getBigUint64(memoryFault.gpa, true),
    length: state.getBigUint64(memoryFault.size, true),
    isPrivate: (state.getBigUint64(memoryFault.flags, true) & KVM_MEMORY_EXIT_FLAG_PRIVATE) !== 0n,
    pc: null,
    access: null,
    isAlignment: null,
  };
  return { kind: 'killed', errno, fault };
}

function eventOf(type: number): SystemEvent {
  switch (type) {
    case KVM_SYSTEM_EVENT.shutdown:
      return 'shutdown';
    case KVM_SYSTEM_EVENT.reset:
      return 'reset';
    case KVM_SYSTEM_EVENT.crash:
      return 'crash';
    default:
      return { type };
  }
}

/** The bytes, hexadecimal, of the instruction that KVM's emulator does not know; null where this KVM keeps them to itself. */
function instructionOf(state: DataView): string | null {
  const { internalError } = KVM_RUN_LAYOUT;
  const count = state.getUint32(internalError.count, true);
  const hasBytes = count >= 3 && (state.getBigUint64(internalError.flags, true) & 1n) !== 0n;
  if (!hasBytes) return null;
  const size = Math.min(state.getUint8(internalError.instructionSize), LONGEST_INSTRUCTION);
  const byte = (at: number): string =>
    state
      .getUint8(internalError.instruction + at)
      .toString(16)
      .padStart(2, '0');
  return Array.from({ length: size }, (_, at) => byte(at)).join(' ');
}
