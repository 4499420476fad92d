import type { VcpuExit } from '../../../vmm/kvm/vcpu-protocol.ts';
import { ERRNO } from '../../../vmm/sys/port.ts';
import { STATUS } from './abi.ts';

const MEANING: Readonly<Record<number, string>> = {
  [STATUS.badParams]: 'it refused its parameters',
  [STATUS.exception]: 'it met an exception that no probe provoked',
  [STATUS.badCpu]: 'the CPU lacks what it needs',
};

/** One sentence for a guest that did not end well; null for one that did. */
export function describeExit(exit: VcpuExit): string | null {
  switch (exit.kind) {
    case 'done':
      return exit.status === STATUS.ok
        ? null
        : `the guest ended with status ${exit.status}: ${MEANING[exit.status] ?? 'its own meaning'}; expected 0. Its console says more.`;
    case 'killed':
      return exit.errno === ERRNO.EFAULT
        ? 'KVM_RUN failed with EFAULT: the guest made an access that stage 2 forbids (unaligned, to memory that stage 2 makes Device) and this KVM ends the VM for it. A kernel with the series in kernel-patches/ gives the guest the fault instead.'
        : `KVM_RUN failed with errno ${exit.errno}; expected the guest to end by the exit doorbell.`;
    case 'unmapped':
      return `the guest ${exit.isWrite ? 'wrote' : 'read'} ${exit.length === null ? 'something' : `${exit.length} bytes`} at gpa 0x${exit.address.toString(16)}, where there is neither memory nor the doorbell. Check the guest, or map a window there.`;
    case 'leaves-window':
      return `the guest ${exit.isWrite ? 'wrote' : 'read'} ${exit.length} bytes at gpa 0x${exit.address.toString(16)}, which leaves the trapped window that they start in; nothing was touched. Expected accesses of up to 8 bytes inside of it.`;
    case 'not-emulated':
      return `KVM would have had to carry out an instruction for the guest and cannot (${whichInstruction(exit)}). In a window that --enforce traps, and where there is no memory, a guest needs plain loads and stores of up to 8 bytes.`;
    case 'shutdown':
      return 'the guest met an exception while it was handling two others (a triple fault), which resets a CPU; expected the exit doorbell. Are its stack and its exception table where it thinks?';
    case 'entry-failed':
      return `the CPU refused to enter the guest (reason 0x${exit.reason.toString(16)}); expected a state that it accepts. The kernel's log may say more.`;
    case 'unexpected':
      return `KVM_RUN ended for reason ${exit.reason} (detail ${exit.detail}), which a bare guest has no use for; expected the exit doorbell.`;
    case 'interrupted':
      return 'the guest was interrupted.';
  }
}

function whichInstruction({ instruction, address }: VcpuExit & { kind: 'not-emulated' }): string {
  if (instruction !== null) return `its bytes: ${instruction}`;
  return address === null
    ? 'this KVM does not say which'
    : `an access to gpa 0x${address.toString(16)} that is no load or store of one general register`;
}
