import { KVM_CAP, checkExtension, enableCap } from '../../sys/kvm.ts';
import { ARM_CORE_REG, armPreferredTarget, armVcpuInit, hasFwb, setOneReg } from '../../sys/kvm-arm64.ts';
import { readStage2 } from '../../../tool/verify/read-back/stage2.ts';
import type { GuestArchitecture } from './arch.ts';
import { MEMORY_MAP } from './memory-map.ts';

export const arm64: GuestArchitecture = {
  name: 'arm64',
  ...MEMORY_MAP,
  initVcpu(port, { vm }, vcpu, entry) {
    // A reset vCPU is at EL1 with MMU and caches off, as the guest expects.
    armVcpuInit(port, vcpu, armPreferredTarget(port, vm));
    setOneReg(port, vcpu, ARM_CORE_REG.pc, entry);
    setOneReg(port, vcpu, ARM_CORE_REG.x(0), MEMORY_MAP.ramBase);
  },
  enableExits(port, { vm }) {
    // Without it an access whose syndrome is not valid, where there is no memslot, fails KVM_RUN with a bare ENOSYS.
    if (checkExtension(port, vm, KVM_CAP.armNisvToUser) > 0) enableCap(port, vm, KVM_CAP.armNisvToUser);
    return { busLocks: false };
  },
  watchStage2: (port, _scope, { debugName }) => Promise.resolve({ read: () => readStage2(port, debugName) }),
  facts: (port, { vm }, vcpu) => ({
    fwb: hasFwb(port, vcpu),
    mte: checkExtension(port, vm, KVM_CAP.armMte) > 0,
    vendor: null,
    nestedPaging: null,
    ticksPerSecond: null,
  }),
};
