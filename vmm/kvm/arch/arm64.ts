import { KVM_CAP, checkExtension, enableCap } from '../../sys/kvm.ts';
import { attempt } from '../../sys/attempt.ts';
import { ARM_CORE_REG, armPreferredTarget, armVcpuInit, hasFwb, setOneReg } from '../../sys/kvm-arm64.ts';
import type { KvmArchitecture } from './arch.ts';

export const arm64: KvmArchitecture = {
  name: 'arm64',
  initBareVcpu(port, { vm }, vcpu, { entry, argument }) {
    armVcpuInit(port, vcpu, armPreferredTarget(port, vm));
    setOneReg(port, vcpu, ARM_CORE_REG.pc, entry);
    setOneReg(port, vcpu, ARM_CORE_REG.x(0), argument);
  },
  enableExits(port, { vm }) {
    // Without it an access whose syndrome is not valid, where there is no memslot, fails KVM_RUN with a bare ENOSYS.
    if (checkExtension(port, vm, KVM_CAP.armNisvToUser) > 0) enableCap(port, vm, KVM_CAP.armNisvToUser);
    return { busLocks: false };
  },
  facts: (port, { vm }, vcpu) => ({
    fwb: hasFwb(port, vcpu),
    // Without it nothing is known: KVM may have the change and not the capability.
    faultForwarding: (attempt(() => checkExtension(port, vm, KVM_CAP.armS2AlignmentFault)) ?? 0) > 0 ? true : null,
    translates: (attempt(() => checkExtension(port, vm, KVM_CAP.armTranslate)) ?? 0) > 0,
    mte: checkExtension(port, vm, KVM_CAP.armMte) > 0,
    vendor: null,
    nestedPaging: null,
    guestPat: null,
    ticksPerSecond: null,
  }),
};
