/** The exits of KVM_RUN after which a vCPU does not go on, from struct kvm_run to what became of the guest. */
import { KVM_EXIT, KVM_INTERNAL_ERROR_EMULATION, KVM_RUN_LAYOUT } from '../sys/kvm.ts';
import type { VcpuExit } from './vcpu-protocol.ts';

const { failEntry, internalError, armNisv } = KVM_RUN_LAYOUT;

/** ESR_ELx.ISS.WnR (Arm ARM, "ISS encoding for an exception from a Data Abort"), which KVM leaves in an unknown access's syndrome. */
const WRITE_NOT_READ = 1n << 6n;

/** Entries of an x86 instruction's bytes in struct kvm_run; no instruction is longer. */
const LONGEST_INSTRUCTION = 15;

/**
 * @param state struct kvm_run
 * @param isWindow whether the VMM would have made an access to this guest-physical address, had it known what it was
 */
export function readLastExit(state: DataView, isWindow: (address: bigint) => boolean): VcpuExit {
  const reason = state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
  const suberror = state.getUint32(internalError.suberror, true);
  switch (reason) {
    case KVM_EXIT.shutdown:
      return { kind: 'shutdown' };
    case KVM_EXIT.failEntry:
      return { kind: 'entry-failed', reason: state.getBigUint64(failEntry.reason, true) };
    case KVM_EXIT.armNisv: {
      const address = state.getBigUint64(armNisv.address, true);
      if (isWindow(address)) return { kind: 'not-emulated', instruction: null, address };
      return {
        kind: 'unmapped',
        address,
        isWrite: (state.getBigUint64(armNisv.syndrome, true) & WRITE_NOT_READ) !== 0n,
        length: null,
      };
    }
    case KVM_EXIT.internalError:
      if (suberror === KVM_INTERNAL_ERROR_EMULATION)
        return { kind: 'not-emulated', instruction: instructionOf(state), address: null };
  }
  return { kind: 'unexpected', reason, detail: suberror };
}

/** The bytes, hexadecimal, of the instruction that KVM's emulator does not know; null where this KVM keeps them to itself. */
function instructionOf(state: DataView): string | null {
  const count = state.getUint32(internalError.count, true);
  const hasBytes = count >= 3 && (state.getBigUint64(internalError.flags, true) & 1n) !== 0n;
  if (!hasBytes) return null;
  const size = Math.min(state.getUint8(internalError.instructionSize), LONGEST_INSTRUCTION);
  return Array.from({ length: size }, (_, at) =>
    state
      .getUint8(internalError.instruction + at)
      .toString(16)
      .padStart(2, '0'),
  ).join(' ');
}
