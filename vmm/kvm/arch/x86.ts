import { x86SetCpuid, x86SetFlat32, x86SetRegs, x86SupportedCpuid } from '../../sys/kvm-x86.ts';
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
  readStage2: () => ({ kind: 'unavailable', why: 'x86 shows its entries only as they are made, by the tracepoint kvmmmu:kvm_mmu_set_spte, which was not recorded' }),
  facts: () => ({ fwb: null, mte: false }),
};
