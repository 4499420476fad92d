/** The processor and KVM, as far as it is alike on every architecture. */
import { Scope } from '../../../common/scope.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { KvmArchitecture, KvmFacts } from '../../../vmm/kvm/arch/arch.ts';
import { openKvm } from '../../../vmm/kvm/vm.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import { kvmFacts } from '../../../vmm/kvm/facts.ts';
import { DOCTOR_ARCHITECTURES } from './architectures.ts';
import { missing, note, ok } from './finding.ts';
import type { Finding } from './finding.ts';

export function architecture(port: Port, arch: KvmArchitecture | null, machine: string): Finding {
  if (arch === null)
    return missing(
      'architecture',
      `wcvmm has no guest for ${machine}`,
      'use an arm64 or x86-64 machine, or --testbed arm64',
      true,
    );
  return ok('architecture', `${arch.name}, ${DOCTOR_ARCHITECTURES[arch.name].vendor(port) ?? 'vendor unknown'}`);
}

export function kvmNode(port: Port): Finding {
  const scope = new Scope();
  try {
    openKvm(port, scope);
    return ok('kvm', '/dev/kvm opens, API version 12');
  } catch (error) {
    if (!(error instanceof WcvmmError)) throw error;
    const fix =
      error.code === 'E_PERMISSION'
        ? 'run as root, or add this user to the group that owns /dev/kvm'
        : 'load the module (modprobe kvm_intel or kvm_amd), switch virtualization on in the firmware; in a cloud choose a bare-metal instance';
    return missing('kvm', error.message.split('. ')[0] ?? error.message, fix, true);
  } finally {
    scope.close();
  }
}

/** A VM and a vCPU are created and closed again: a user who may open /dev/kvm may still not be able to do that. */
export function virtualMachine(port: Port, arch: KvmArchitecture): readonly Finding[] {
  let facts: KvmFacts;
  try {
    facts = kvmFacts(port, arch);
  } catch (error) {
    if (!(error instanceof SysError) && !(error instanceof WcvmmError)) throw error;
    return [
      missing(
        'vm',
        `no VM can be created: ${error.message}`,
        'see the kernel log (dmesg); another hypervisor may be using the processor',
        true,
      ),
    ];
  }
  const vm = ok('vm', 'a VM with a vCPU can be created');
  if (facts.fwb === null) return [vm];
  const fwb = facts.fwb
    ? ok('fwb', 'FEAT_S2FWB: stage 2 can force write-back')
    : note('fwb', 'no FEAT_S2FWB: the stricter of stage 1 and stage 2 wins; the model knows that');
  const mte = facts.mte
    ? ok('mte', 'guests can have memory tagging')
    : note('mte', 'no memory tagging for guests: tag retention cannot be checked');
  return [vm, fwb, faultForwarding(facts), mte];
}

/** KVM_CAP_ARM_S2_ALIGNMENT_FAULT, of the project's kernels: others cannot be asked. */
function faultForwarding({ faultForwarding: forwards }: KvmFacts): Finding {
  const id = 'fault-forwarding';
  const fix = 'boot a kernel with the series in kernel-patches/';
  if (forwards === true) return ok(id, 'a guest gets the alignment faults that stage 2 causes');
  if (forwards === false)
    return note(id, 'an unaligned access to a device window ends the VM (KVM_RUN fails with EFAULT)', fix);
  return note(id, 'this KVM does not say whether an unaligned access to a device window ends the VM', fix);
}
