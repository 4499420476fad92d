/** KVM's ABI for arm64 (arch/arm64/include/uapi/asm/kvm.h): vCPU targets and registers. */
import { withAddress } from './pointer.ts';
import type { Port } from './port.ts';

const KVM_GET_ONE_REG = 0x4010aeab;
const KVM_SET_ONE_REG = 0x4010aeac;
const KVM_ARM_VCPU_INIT = 0x4020aeae;
const KVM_ARM_PREFERRED_TARGET = 0x8020aeaf;

/** struct kvm_vcpu_init for the host's own CPU type, as KVM_ARM_VCPU_INIT takes it. */
export function armPreferredTarget(port: Port, vm: number): Uint8Array {
  const init = new Uint8Array(32);
  port.ioctl(vm, KVM_ARM_PREFERRED_TARGET, init);
  return init;
}

/** Features of a vCPU, as bits of struct kvm_vcpu_init's first word of them. */
export const ARM_VCPU_FEATURE = { powerOff: 1 << 0, psci02: 1 << 2 } as const;

/** Adds features to what armPreferredTarget says. */
export function withVcpuFeatures(init: Uint8Array, ...features: readonly number[]): Uint8Array {
  const copy = init.slice();
  const view = new DataView(copy.buffer);
  const all = features.reduce((sum, feature) => sum | feature, view.getUint32(4, true));
  view.setUint32(4, all, true);
  return copy;
}

export function armVcpuInit(port: Port, vcpu: number, init: Uint8Array): void {
  port.ioctl(vcpu, KVM_ARM_VCPU_INIT, init);
}

/** struct kvm_one_reg: the register's id and the address of its value. */
function oneReg(port: Port, vcpu: number, request: number, id: bigint, register: Uint8Array): void {
  withAddress(port, register, (address) => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, id, true);
    view.setBigUint64(8, address, true);
    port.ioctl(vcpu, request, bytes);
  });
}

export function setOneReg(port: Port, vcpu: number, id: bigint, value: bigint): void {
  const register = new Uint8Array(8);
  new DataView(register.buffer).setBigUint64(0, value, true);
  oneReg(port, vcpu, KVM_SET_ONE_REG, id, register);
}

export function getOneReg(port: Port, vcpu: number, id: bigint): bigint {
  const register = new Uint8Array(8);
  oneReg(port, vcpu, KVM_GET_ONE_REG, id, register);
  return new DataView(register.buffer).getBigUint64(0, true);
}

/** ID_AA64MMFR2_EL1: op0 3, op1 0, CRn 0, CRm 7, op2 2. */
const ID_AA64MMFR2_EL1 = 0x6030_0000_0013_c03an;

/** FEAT_S2FWB, by ID_AA64MMFR2_EL1.FWB (bits 43:40), which KVM shows of the host as it is. */
export function hasFwb(port: Port, vcpu: number): boolean {
  return ((getOneReg(port, vcpu, ID_AA64MMFR2_EL1) >> 40n) & 0xfn) !== 0n;
}

const KVM_REG_ARM64_CORE_U64 = 0x6030_0000_0010_0000n;

/** KVM_REG_ARM_CORE ids: an index of 32-bit words into struct kvm_regs, whose first member is struct user_pt_regs. */
export const ARM_CORE_REG = {
  x: (n: number): bigint => KVM_REG_ARM64_CORE_U64 | BigInt(n * 2),
  pc: KVM_REG_ARM64_CORE_U64 | 64n,
} as const;

const KVM_TRANSLATE = 0xc018ae85;
/** Where struct kvm_translation, as the series in kernel-patches/ fills it in, has what PAR_EL1 says. */
const TRANSLATION = { valid: 16, attribute: 19 } as const;

/**
 * What both stages of a vCPU that has run make of a guest-virtual address now: PAR_EL1.ATTR after AT S12E1R, encoded as a byte of
 * MAIR_EL1. null: stage 1 does not map it. Throws SysError ENOENT where stage 2 does not, EINVAL where KVM cannot say.
 */
export function armTranslate(port: Port, vcpu: number, address: bigint): number | null {
  const translation = new Uint8Array(24);
  const view = new DataView(translation.buffer);
  view.setBigUint64(0, address, true);
  port.ioctl(vcpu, KVM_TRANSLATE, translation);
  return view.getUint8(TRANSLATION.valid) === 0 ? null : view.getUint8(TRANSLATION.attribute);
}
