import { KVM_BUS_LOCK_DETECTION_EXIT, KVM_CAP, checkExtension, enableCap } from '../../sys/kvm.ts';
import { x86SetCpuid, x86SetFlat32, x86SetRegs, x86SupportedCpuid, x86TscKhz } from '../../sys/kvm-x86.ts';
import type { Port } from '../../sys/port.ts';
import { cpuVendor, nestedPaging } from '../cpu-x86.ts';
import { unreadable } from '../../../tool/verify/read-back/stage2-watch.ts';
import type { GuestArchitecture } from './arch.ts';
import { MEMORY_MAP } from './memory-map.ts';

export const x86: GuestArchitecture = {
  name: 'x86',
  ...MEMORY_MAP,
  initVcpu(port, { kvm }, vcpu, entry) {
    // Without CPUID a guest has no long mode: KVM checks EFER against it.
    x86SetCpuid(port, vcpu, x86SupportedCpuid(port, kvm));
    x86SetFlat32(port, vcpu);
    x86SetRegs(port, vcpu, { rip: entry, rbx: MEMORY_MAP.ramBase });
  },
  enableExits(port, { vm }) {
    const busLocks = (checkExtension(port, vm, KVM_CAP.x86BusLockExit) & KVM_BUS_LOCK_DETECTION_EXIT) !== 0;
    if (busLocks) enableCap(port, vm, KVM_CAP.x86BusLockExit, KVM_BUS_LOCK_DETECTION_EXIT);
    return { busLocks };
  },
  async watchStage2(port, scope, vm) {
    const paging = nestedPaging(port);
    if (paging === null) return unreadable('KVM uses neither EPT nor NPT here, so that there is no stage 2 to be read');
    // Loaded late: it needs all of memattr.
    const { watchSptes } = await import('../../../tool/verify/read-back/spte-watch.ts');
    return watchSptes(port, scope, vm, paging);
  },
  facts: (port, { vm }, vcpu) => ({
    fwb: null,
    mte: false,
    vendor: cpuVendor(port),
    nestedPaging: nestedPaging(port),
    ticksPerSecond: tscFrequency(port, vm, vcpu),
  }),
};

/** Hz. A guest's CPUID seldom says it, and KVM knows. */
function tscFrequency(port: Port, vm: number, vcpu: number): number | null {
  const kilohertz = checkExtension(port, vm, KVM_CAP.getTscKhz) > 0 ? x86TscKhz(port, vcpu) : 0;
  return kilohertz > 0 ? kilohertz * 1000 : null;
}
