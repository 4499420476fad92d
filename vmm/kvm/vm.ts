/** A KVM virtual machine and its memslots. Everything it makes ends with the scope that it is given. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import {
  KVM_API_VERSION,
  KVM_CAP,
  checkExtension,
  createVm,
  enableCap,
  getApiVersion,
  setUserMemoryRegion,
} from '../sys/kvm.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { threadId } from '../sys/libc.ts';
import { openNode } from '../vfio/access.ts';
import type { HostMapping } from '../memory/mapping.ts';

/** Guest-physical bytes [gpa, gpa + length) backed by host memory. */
export interface Memslot {
  readonly slot: number;
  readonly gpa: bigint;
  readonly length: bigint;
}

export interface Machine {
  readonly kvm: number;
  readonly vm: number;
  /** The name of the VM's directory in debugfs: the creating thread's id and the VM's fd (kvm_create_vm_debugfs). */
  readonly debugName: string;
  addMemslot(gpa: bigint, mapping: HostMapping): Memslot;
}

export interface MachineOptions {
  /** Let the guest use MTE. KVM then refuses memslots on BARs (kvm_arch_prepare_memory_region). */
  readonly mte?: boolean;
}

export function openKvm(port: Port, scope: Scope): number {
  const kvm = openNode(
    port,
    scope,
    '/dev/kvm',
    new WcvmmError(
      'E_NO_KVM',
      '/dev/kvm is missing: this kernel or machine has no KVM. Load the module kvm, or switch on virtualization in the firmware; in a cloud choose a bare-metal instance, or use --testbed.',
    ),
  );
  const version = getApiVersion(port, kvm);
  if (version !== KVM_API_VERSION)
    throw new WcvmmError('E_NO_KVM', `/dev/kvm speaks API version ${version}; expected ${KVM_API_VERSION}.`);
  return kvm;
}

const KVM_CAP_ARM_VM_IPA_SIZE = 165;
const DEFAULT_IPA_BITS = 40;

/** KVM_CREATE_VM's type: 0 means 40 bits of guest-physical address on arm64, which some CPUs do not have. */
function machineType(port: Port, kvm: number): number {
  const bits = checkExtension(port, kvm, KVM_CAP_ARM_VM_IPA_SIZE);
  return bits > 0 && bits < DEFAULT_IPA_BITS ? bits : 0;
}

export function createMachine(port: Port, scope: Scope, options: MachineOptions = {}): Machine {
  const kvm = openKvm(port, scope);
  const vm = createVm(port, kvm, machineType(port, kvm));
  scope.defer(() => port.close(vm));
  if (options.mte === true) enableCap(port, vm, KVM_CAP.armMte);
  let next = 0;
  return {
    kvm,
    vm,
    debugName: `${threadId()}-${vm}`,
    addMemslot(gpa, { address, length }) {
      const slot = next++;
      try {
        setUserMemoryRegion(port, vm, { slot, flags: 0, gpa, length, hva: address });
      } catch (error) {
        throw new WcvmmError(
          'E_SYSCALL',
          `KVM refused the memslot of ${length} bytes at gpa 0x${gpa.toString(16)} (${isErrno(error, 'EFAULT') ? 'beyond what the guest can address' : 'KVM_SET_USER_MEMORY_REGION'}). Map less, or place it lower.`,
          { cause: error },
        );
      }
      // Before the mapping below it goes, or the guest would fault into whatever comes next at that address.
      scope.defer(() => setUserMemoryRegion(port, vm, { slot, flags: 0, gpa, length: 0n, hva: address }));
      return { slot, gpa, length };
    },
  };
}
