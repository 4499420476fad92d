/**
 *   0x0_0900_0000   doorbell, one page with no memslot
 *   0x0_4000_0000   guest RAM, 4 MiB: image, parameters, cells, log (vmm/guest/abi.h)
 *   0x1_0000_0000   windows, up to the guest's 39 bits
 */
import { KVM_CAP, checkExtension } from '../../sys/kvm.ts';
import { ARM_CORE_REG, armPreferredTarget, armVcpuInit, hasFwb, setOneReg } from '../../sys/kvm-arm64.ts';
import { readStage2 } from '../stage2.ts';
import type { GuestArchitecture } from './arch.ts';

export const arm64: GuestArchitecture = {
  name: 'arm64',
  ramBase: 0x4000_0000n,
  doorbell: 0x0900_0000n,
  windowBase: 0x1_0000_0000n,
  gpaLimit: 1n << 39n,
  initVcpu(port, { vm }, vcpu, entry) {
    // A reset vCPU is at EL1 with MMU and caches off, as the guest expects.
    armVcpuInit(port, vcpu, armPreferredTarget(port, vm));
    setOneReg(port, vcpu, ARM_CORE_REG.pc, entry);
    setOneReg(port, vcpu, ARM_CORE_REG.x(0), arm64.ramBase);
  },
  readStage2,
  facts: (port, { vm }, vcpu) => ({ fwb: hasFwb(port, vcpu), mte: checkExtension(port, vm, KVM_CAP.armMte) > 0 }),
};
