/** One sentence for a Linux guest that neither powered off nor reset. */
import type { VcpuExit } from '../../../vmm/kvm/exits.ts';
import { explainKilled } from '../../../vmm/machines/killed.ts';
import type { KilledMachine } from '../../../vmm/machines/killed.ts';

const LOOK = 'Its console may say more; earlycon on its command line shows more of it.';

/** @param machine where it ran; null: not known */
export function describeLinuxExit(exit: VcpuExit, machine: KilledMachine | null = null): string {
  switch (exit.kind) {
    case 'shutdown':
      return `the guest caused a triple fault before it said a word: its kernel could not even begin. Is it built for this CPU? ${LOOK}`;
    case 'system-event':
      return `the guest ended by ${typeof exit.event === 'string' ? `a ${exit.event}` : `system event ${exit.event.type}`}; expected it to power off. ${LOOK}`;
    case 'killed':
      return `${explainKilled(exit, machine)} ${LOOK}`;
    case 'not-emulated':
      return `KVM cannot emulate an instruction of the guest's${exit.address === null ? '' : ` that accesses gpa 0x${exit.address.toString(16)}`}${exit.instruction === null ? '' : ` (its bytes: ${exit.instruction})`}. ${LOOK}`;
    case 'unmapped':
      return `the guest accessed gpa 0x${exit.address.toString(16)}, where there is neither memory nor a device, by an instruction that KVM does not decode. ${LOOK}`;
    case 'device-lost':
      return `the device did not answer a ${exit.isWrite ? 'store' : 'load'} of the guest's: its memory decoding is off, or it was reset or taken away. dmesg may say more.`;
    case 'entry-failed':
      return `the CPU refused to enter the guest (reason 0x${exit.reason.toString(16)}). The kernel's log may say more.`;
    case 'unexpected':
      return `KVM_RUN ended for reason ${exit.reason} (detail ${exit.detail}), which wcvmm does not handle; expected the guest to power off. ${LOOK}`;
    default:
      return `the guest ended in a way that no Linux guest should (${exit.kind}). ${LOOK}`;
  }
}
