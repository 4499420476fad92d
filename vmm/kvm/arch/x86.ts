import {
  KVM_BUS_LOCK_DETECTION_EXIT,
  KVM_CAP,
  KVM_X86_QUIRK_IGNORE_GUEST_PAT,
  checkExtension,
  enableCap,
} from '../../sys/kvm.ts';
import { x86SetCpuid, x86SetFlat32, x86SetRegs, x86SupportedCpuid, x86TscKhz } from '../../sys/kvm-x86.ts';
import type { Port } from '../../sys/port.ts';
import { cpuVendor, nestedPaging } from '../cpu-x86.ts';
import type { KvmArchitecture } from './arch.ts';

export const x86: KvmArchitecture = {
  name: 'x86',
  initBareVcpu(port, { kvm }, vcpu, { entry, argument }) {
    // Without CPUID a guest has no long mode: KVM checks EFER against it.
    x86SetCpuid(port, vcpu, x86SupportedCpuid(port, kvm));
    x86SetFlat32(port, vcpu);
    x86SetRegs(port, vcpu, { rip: entry, rbx: argument });
  },
  enableExits(port, { vm }) {
    const busLocks = (checkExtension(port, vm, KVM_CAP.x86BusLockExit) & KVM_BUS_LOCK_DETECTION_EXIT) !== 0;
    if (busLocks) enableCap(port, vm, KVM_CAP.x86BusLockExit, KVM_BUS_LOCK_DETECTION_EXIT);
    if (canHonourPat(port, vm)) enableCap(port, vm, KVM_CAP.x86DisableQuirks2, KVM_X86_QUIRK_IGNORE_GUEST_PAT);
    return { busLocks };
  },
  facts: (port, { vm }, vcpu) => ({
    fwb: null,
    faultForwarding: null,
    translates: null,
    mte: false,
    vendor: cpuVendor(port),
    nestedPaging: nestedPaging(port),
    guestPat: nestedPaging(port) !== 'ept' || canHonourPat(port, vm),
    ticksPerSecond: tscFrequency(port, vm, vcpu),
  }),
};

/** Without self-snoop the quirk stays: vmx_hardware_setup() (arch/x86/kvm/vmx/vmx.c). Kernels before 6.16 have neither. */
function canHonourPat(port: Port, vm: number): boolean {
  return (checkExtension(port, vm, KVM_CAP.x86DisableQuirks2) & KVM_X86_QUIRK_IGNORE_GUEST_PAT) !== 0;
}

/** Hz. A guest's CPUID seldom says it, and KVM knows. */
function tscFrequency(port: Port, vm: number, vcpu: number): number | null {
  const kilohertz = checkExtension(port, vm, KVM_CAP.getTscKhz) > 0 ? x86TscKhz(port, vcpu) : 0;
  return kilohertz > 0 ? kilohertz * 1000 : null;
}
