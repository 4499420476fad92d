/**
 * KVM's ABI (include/uapi/linux/kvm.h): numbers, layouts and the raw calls; no policy.
 * Guest-physical and host-virtual addresses and lengths are bytes.
 */
import type { Port } from './port.ts';

const KVM_GET_API_VERSION = 0xae00;
const KVM_CREATE_VM = 0xae01;
const KVM_CHECK_EXTENSION = 0xae03;
const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
const KVM_CREATE_VCPU = 0xae41;
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_ENABLE_CAP = 0x4068aea3;
const KVM_SET_ONE_REG = 0x4010aeac;
const KVM_ARM_VCPU_INIT = 0x4020aeae;
const KVM_ARM_PREFERRED_TARGET = 0x8020aeaf;
export const KVM_RUN = 0xae80;

export const KVM_API_VERSION = 12;

export const KVM_CAP = { armMte: 205, armCacheablePfnmap: 243 } as const;

/** struct kvm_run's exit reasons that a machine without in-kernel devices meets. */
export const KVM_EXIT = { unknown: 0, io: 2, hlt: 5, mmio: 6, shutdown: 8, failEntry: 9, interrupted: 10, internalError: 17, systemEvent: 24, armNisv: 28, memoryFault: 39 } as const;

/** Offsets in struct kvm_run, bytes. */
export const KVM_RUN_LAYOUT = {
  immediateExit: 1,
  exitReason: 8,
  mmio: { address: 32, data: 40, length: 48, isWrite: 52 },
  internalError: { suberror: 32 },
  failEntry: { reason: 32 },
} as const;

export function getApiVersion(port: Port, kvm: number): number {
  return port.ioctl(kvm, KVM_GET_API_VERSION, 0);
}

/** `type` 0 is the default machine: on arm64 a 40-bit guest-physical space. */
export function createVm(port: Port, kvm: number, type = 0): number {
  return port.ioctl(kvm, KVM_CREATE_VM, type);
}

export function checkExtension(port: Port, fd: number, capability: number): number {
  return port.ioctl(fd, KVM_CHECK_EXTENSION, capability);
}

export function vcpuMmapSize(port: Port, kvm: number): number {
  return port.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

export function createVcpu(port: Port, vm: number, id: number): number {
  return port.ioctl(vm, KVM_CREATE_VCPU, id);
}

export interface UserMemoryRegion {
  readonly slot: number;
  readonly flags: number;
  readonly gpa: bigint;
  /** 0n deletes the slot. */
  readonly length: bigint;
  readonly hva: bigint;
}

export function setUserMemoryRegion(port: Port, vm: number, region: UserMemoryRegion): void {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, region.slot, true);
  view.setUint32(4, region.flags, true);
  view.setBigUint64(8, region.gpa, true);
  view.setBigUint64(16, region.length, true);
  view.setBigUint64(24, region.hva, true);
  port.ioctl(vm, KVM_SET_USER_MEMORY_REGION, bytes);
}

export function enableCap(port: Port, fd: number, capability: number): void {
  const bytes = new Uint8Array(104);
  new DataView(bytes.buffer).setUint32(0, capability, true);
  port.ioctl(fd, KVM_ENABLE_CAP, bytes);
}

/** struct kvm_vcpu_init for the host's own CPU type, as KVM_ARM_VCPU_INIT takes it. */
export function armPreferredTarget(port: Port, vm: number): Uint8Array {
  const init = new Uint8Array(32);
  port.ioctl(vm, KVM_ARM_PREFERRED_TARGET, init);
  return init;
}

export function armVcpuInit(port: Port, vcpu: number, init: Uint8Array): void {
  port.ioctl(vcpu, KVM_ARM_VCPU_INIT, init);
}

export function setOneReg(port: Port, vcpu: number, id: bigint, value: bigint): void {
  const register = new Uint8Array(8);
  new DataView(register.buffer).setBigUint64(0, value, true);
  const request = new Uint8Array(16);
  const view = new DataView(request.buffer);
  view.setBigUint64(0, id, true);
  view.setBigUint64(8, port.addressOf(register), true);
  port.ioctl(vcpu, KVM_SET_ONE_REG, request);
}

const KVM_REG_ARM64_CORE_U64 = 0x6030_0000_0010_0000n;

/** KVM_REG_ARM_CORE ids: an index of 32-bit words into struct kvm_regs, whose first member is struct user_pt_regs. */
export const ARM_CORE_REG = {
  x: (n: number): bigint => KVM_REG_ARM64_CORE_U64 | BigInt(n * 2),
  pc: KVM_REG_ARM64_CORE_U64 | 64n,
} as const;
