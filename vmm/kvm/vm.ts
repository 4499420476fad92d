/** A KVM virtual machine. Everything it makes ends with the scope that it is given. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { Memslots } from '../memory/slots.ts';
import {
  KVM_API_VERSION,
  KVM_CAP,
  checkExtension,
  createVm as createVmFile,
  enableCap,
  getApiVersion,
} from '../sys/kvm.ts';
import { threadId } from '../sys/libc.ts';
import { openNode } from '../sys/node.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

export interface Vm {
  readonly kvm: number;
  readonly vm: number;
  /** The name of the VM's directory in debugfs: the creating thread's id and the VM's fd (kvm_create_vm_debugfs). */
  readonly debugName: string;
  readonly slots: Memslots;
}

export interface VmOptions {
  /** Let the guest use MTE. KVM then refuses memslots on BARs (kvm_arch_prepare_memory_region). */
  readonly mte?: boolean;
  /** Bits of a guest-physical address that the guest shall have; arm64 has to be told of more than 40. */
  readonly addressBits?: number;
}

/** Throws E_NO_KVM where there is none, E_PERMISSION where this user may not. */
export function openKvm(port: Port, scope: Scope): number {
  const absent = new WcvmmError(
    'E_NO_KVM',
    '/dev/kvm is missing: this kernel or machine has no KVM. Load the module kvm, or switch on virtualization in the firmware; in a cloud choose a bare-metal instance, or use --testbed.',
  );
  const kvm = openNode(port, scope, '/dev/kvm', absent);
  const version = getApiVersion(port, kvm);
  if (version !== KVM_API_VERSION) {
    throw new WcvmmError('E_NO_KVM', `/dev/kvm has API version ${version}; expected ${KVM_API_VERSION}.`);
  }
  return kvm;
}

/** arm64's, where KVM is asked for no other number. */
export const DEFAULT_IPA_BITS = 40;

/** KVM_CREATE_VM's type: 0 means 40 bits of guest-physical address on arm64, which some CPUs do not have. */
function typeOfVm(port: Port, kvm: number, wanted: number): number {
  const most = checkExtension(port, kvm, KVM_CAP.armVmIpaSize);
  const bits = Math.min(most, Math.max(wanted, DEFAULT_IPA_BITS));
  return bits === DEFAULT_IPA_BITS ? 0 : bits;
}

/** Throws as openKvm does; SysError EINVAL where `mte` is asked for and this KVM has none. */
export function createVm(port: Port, scope: Scope, options: VmOptions = {}): Vm {
  const kvm = openKvm(port, scope);
  const vm = createUninterrupted(port, kvm, typeOfVm(port, kvm, options.addressBits ?? 0));
  scope.defer(() => port.close(vm));
  if (options.mte === true) enableCap(port, vm, KVM_CAP.armMte);
  return { kvm, vm, debugName: `${threadId()}-${vm}`, slots: new Memslots(port, scope, vm) };
}

/** KVM gives up where a signal comes while it registers with mm (mm_take_all_locks); a profiler's comes every millisecond. */
function createUninterrupted(port: Port, kvm: number, type: number): number {
  for (;;) {
    try {
      return createVmFile(port, kvm, type);
    } catch (error) {
      if (!isErrno(error, 'EINTR')) throw error;
    }
  }
}
