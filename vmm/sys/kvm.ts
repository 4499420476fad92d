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

export const KVM_CAP = {
  nrVcpus: 9,
  getTscKhz: 61,
  maxVcpus: 66,
  tscDeadlineTimer: 72,
  armVmIpaSize: 165,
  armNisvToUser: 177,
  x86BusLockExit: 193,
  armMte: 205,
  x86DisableQuirks2: 213,
  /** The number that the series in kernel-patches/ gives it. */
  armS2AlignmentFault: 252,
  /** The number that the series in kernel-patches/ gives it. */
  armTranslate: 253,
} as const;

/** struct kvm_run's exit reasons that this VMM knows. */
export const KVM_EXIT = {
  io: 2,
  hlt: 5,
  mmio: 6,
  shutdown: 8,
  failEntry: 9,
  intr: 10,
  internalError: 17,
  systemEvent: 24,
  armNisv: 28,
  x86BusLock: 33,
  memoryFault: 39,
} as const;

/** KVM_EXIT_SYSTEM_EVENT's types: what the guest asked its firmware for (PSCI, Hyper-V's or ACPI's reset), or what ended it. */
export const KVM_SYSTEM_EVENT = { shutdown: 1, reset: 2, crash: 3 } as const;

/** KVM_EXIT_IO's direction: the guest has executed OUT; IN is 0. */
export const KVM_EXIT_IO_OUT = 1;

/** KVM_EXIT_MEMORY_FAULT's flag: the access was one to private memory. */
export const KVM_MEMORY_EXIT_FLAG_PRIVATE = 1n << 3n;

/** KVM_EXIT_INTERNAL_ERROR's suberror for an instruction that KVM's emulator does not know. */
export const KVM_INTERNAL_ERROR_EMULATION = 1;

/** struct kvm_run's flags, x86: the guest has locked the bus, whatever else the exit is about. */
export const KVM_RUN_X86_BUS_LOCK = 1 << 1;

/** KVM_CAP_X86_BUS_LOCK_EXIT's argument: end KVM_RUN at every bus lock. */
export const KVM_BUS_LOCK_DETECTION_EXIT = 1 << 1;

/** KVM_CAP_DISABLE_QUIRKS2's bit: on Intel, guest RAM is write-back whatever the guest's PAT says. */
export const KVM_X86_QUIRK_IGNORE_GUEST_PAT = 1 << 9;

/** Offsets in struct kvm_run, bytes. */
export const KVM_RUN_LAYOUT = {
  immediateExit: 1,
  exitReason: 8,
  flags: 14,
  /** `data` is the offset in struct kvm_run of `count` elements of `size` bytes each. */
  io: { direction: 32, size: 33, port: 34, count: 36, data: 40 },
  mmio: { address: 32, data: 40, length: 48, isWrite: 52 },
  failEntry: { reason: 32 },
  /** `flags` and what follows: of an emulation failure, if `count` (of 64-bit words from `flags` on) says that it is there. */
  internalError: { suberror: 32, count: 36, flags: 40, instructionSize: 48, instruction: 49 },
  systemEvent: { type: 32, count: 36, data: 40 },
  armNisv: { syndrome: 32, address: 40 },
  memoryFault: { flags: 32, gpa: 40, size: 48 },
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

/** struct kvm_userspace_memory_region, filled in anew for each call. */
const REGION = new Uint8Array(32);

export function setUserMemoryRegion(port: Port, vm: number, region: UserMemoryRegion): void {
  const view = new DataView(REGION.buffer);
  view.setUint32(0, region.slot, true);
  view.setUint32(4, region.flags, true);
  view.setBigUint64(8, region.gpa, true);
  view.setBigUint64(16, region.length, true);
  view.setBigUint64(24, region.hva, true);
  port.ioctl(vm, KVM_SET_USER_MEMORY_REGION, REGION);
}

/** @param argument struct kvm_enable_cap's args[0] */
export function enableCap(port: Port, fd: number, capability: number, argument = 0): void {
  const bytes = new Uint8Array(104);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, capability, true);
  view.setBigUint64(8, BigInt(argument), true);
  port.ioctl(fd, KVM_ENABLE_CAP, bytes);
}
