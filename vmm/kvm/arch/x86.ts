import { x86SetCpuid, x86SetFlat32, x86SetRegs, x86SupportedCpuid } from '../../sys/kvm-x86.ts';
import { cpuVendor, nestedPaging } from '../host-x86.ts';
import { watchSptes } from '../spte-watch.ts';
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
  watchStage2: watchSptes,
  facts: (port) => ({ fwb: null, mte: false, vendor: cpuVendor(port), nestedPaging: nestedPaging(port) }),
};
