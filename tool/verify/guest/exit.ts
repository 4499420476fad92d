import type { SystemEvent, VcpuExit } from '../../../vmm/kvm/exits.ts';
import { explainKilled, explainUnbacked } from '../../../vmm/machines/killed.ts';
import type { KilledMachine } from '../../../vmm/machines/killed.ts';
import { STATUS } from './abi.ts';

const MEANING: Readonly<Record<number, string>> = {
  [STATUS.badParams]: 'it refused its parameters',
  [STATUS.exception]: 'it met an exception that no probe provoked',
  [STATUS.badCpu]: 'the CPU lacks what it needs',
};

/** One sentence for a guest that did not end well; null for one that did. @param machine where it ran; null: not known */
export function describeExit(exit: VcpuExit, machine: KilledMachine | null = null): string | null {
  switch (exit.kind) {
    case 'done':
      return exit.status === STATUS.ok
        ? null
        : `the guest ended with status ${exit.status}: ${MEANING[exit.status] ?? 'its own meaning'}; expected 0. Its console says more.`;
    case 'killed':
      return explainKilled(exit, machine);
    case 'unmapped': {
      const unbacked = exit.space === 'mmio' ? explainUnbacked(exit.address, machine) : null;
      return unbacked === null
        ? `the guest ${accessOf(exit)}, where there is neither memory nor a device. Check the guest, or map a window there.`
        : `the guest ${accessOf(exit)}, ${unbacked}.`;
    }
    case 'crosses-end':
      return `the guest ${accessOf(exit)}, which starts in a trapped window or a device and ends outside of it; nothing was touched. Expected accesses of up to 8 bytes within one.`;
    case 'not-emulated':
      return `KVM cannot emulate a guest instruction (${whichInstruction(exit)}). Trapped windows and unmapped addresses support only plain loads and stores of up to 8 bytes.`;
    case 'device-lost':
      return `the device did not answer a ${exit.isWrite ? 'store' : 'load'} at offset 0x${exit.offset.toString(16)} of a trapped window.`;
    case 'shutdown':
      return 'the guest caused a triple fault: an exception while it was handling two others; expected the exit doorbell. Check its stack and its exception table.';
    case 'halted':
      return 'the guest halted (HLT), and nothing can wake it: a bare guest has no interrupts; expected the exit doorbell.';
    case 'system-event':
      return `the guest asked its firmware for ${eventName(exit.event)}, which a bare guest does not have; expected the exit doorbell.`;
    case 'entry-failed':
      return `the CPU refused to enter the guest (reason 0x${exit.reason.toString(16)}); expected a state that it accepts. The kernel's log may say more.`;
    case 'unexpected':
      return `KVM_RUN ended for reason ${exit.reason} (detail ${exit.detail}), which wcvmm does not handle; expected the exit doorbell.`;
    case 'interrupted':
      return 'the guest was interrupted.';
  }
}

function accessOf({ space, address, isWrite, length }: VcpuExit & { kind: 'unmapped' | 'crosses-end' }): string {
  const what = length === null ? 'something' : `${length} bytes`;
  return `${isWrite ? 'wrote' : 'read'} ${what} at ${space === 'pio' ? 'port' : 'gpa'} 0x${address.toString(16)}`;
}

function eventName(event: SystemEvent): string {
  if (typeof event !== 'string') return `system event ${event.type}`;
  return { shutdown: 'power-off', reset: 'a reset', crash: 'a crash' }[event];
}

function whichInstruction({ instruction, address }: VcpuExit & { kind: 'not-emulated' }): string {
  if (instruction !== null) return `its bytes: ${instruction}`;
  return address === null
    ? 'this KVM does not say which'
    : `an access to gpa 0x${address.toString(16)} that is no load or store of one general register`;
}
