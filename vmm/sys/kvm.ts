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
export const KVM_RUN = 0xae80;

export const KVM_API_VERSION = 12;

export const KVM_CAP = { armMte: 205 } as const;

/** struct kvm_run's exit reasons that a machine without in-kernel devices meets. */
export const KVM_EXIT = { unknown: 0, io: 2, hlt: 5, mmio: 6, shutdown: 8, failEntry: 9, interrupted: 10, internalError: 17, systemEvent: 24, armNisv: 28, memoryFault: 39 } as const;

/** Offsets in struct kvm_run, bytes. */
export const KVM_RUN_LAYOUT = {
  immediateExit: 1,
  exitReason: 8,
  mmio: { address: 32, data: 40, length: 48, isWrite: 52 },
  internalError: { suberror: 32 },
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
