/**
 *   0x0_0900_0000   doorbell, one page with no memslot
 *   0x0_4000_0000   guest RAM, 4 MiB: image, parameters, cells, log (vmm/guest/abi.h)
 *   0x1_0000_0000   windows, up to the guest's 39 bits
 */
import { x86SetCpuid, x86SetFlat32, x86SetRegs, x86SupportedCpuid } from '../../sys/kvm-x86.ts';
import type { GuestArchitecture } from './arch.ts';

export const x86: GuestArchitecture = {
  name: 'x86',
  ramBase: 0x4000_0000n,
  doorbell: 0x0900_0000n,
  windowBase: 0x1_0000_0000n,
  gpaLimit: 1n << 39n,
  initVcpu(port, { kvm }, vcpu, entry) {
    // Without CPUID a guest has no long mode: KVM checks EFER against it.
    x86SetCpuid(port, vcpu, x86SupportedCpuid(port, kvm));
    x86SetFlat32(port, vcpu);
    x86SetRegs(port, vcpu, { rip: entry, rbx: x86.ramBase });
  },
  readStage2: () => ({ kind: 'unavailable', why: 'x86 shows its entries only as they are made, by the tracepoint kvmmmu:kvm_mmu_set_spte, which was not recorded' }),
  facts: () => ({ fwb: null, mte: false }),
};
