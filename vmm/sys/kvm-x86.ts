/** KVM's ABI for x86 (arch/x86/include/uapi/asm/kvm.h): CPUID and registers. */
import type { Port } from './port.ts';

const KVM_GET_SUPPORTED_CPUID = 0xc008ae05;
const KVM_SET_REGS = 0x4090ae82;
const KVM_GET_SREGS = 0x8138ae83;
const KVM_SET_SREGS = 0x4138ae84;
const KVM_SET_CPUID2 = 0x4008ae90;
const KVM_SET_MSRS = 0x4008ae89;
const KVM_GET_TSC_KHZ = 0xaea3;

const CPUID_ENTRY = 40;
const CPUID_ENTRIES = 256;

/** struct kvm_cpuid2 with all that this KVM can give a guest, as KVM_SET_CPUID2 takes it. */
export function x86SupportedCpuid(port: Port, kvm: number): Uint8Array {
  const bytes = new Uint8Array(8 + CPUID_ENTRIES * CPUID_ENTRY);
  new DataView(bytes.buffer).setUint32(0, CPUID_ENTRIES, true);
  port.ioctl(kvm, KVM_GET_SUPPORTED_CPUID, bytes);
  return bytes;
}

export function x86SetCpuid(port: Port, vcpu: number, cpuid: Uint8Array): void {
  port.ioctl(vcpu, KVM_SET_CPUID2, cpuid);
}

/** Offsets in struct kvm_sregs and struct kvm_segment, bytes. */
const SREGS = {
  size: 312,
  cs: 0,
  data: [24, 48, 72, 96, 120],
  gdt: 192,
  cr0: 224,
  cr3: 240,
  cr4: 248,
  efer: 264,
} as const;
const SEGMENT = {
  base: 0,
  limit: 8,
  selector: 12,
  type: 14,
  present: 15,
  dpl: 16,
  db: 17,
  s: 18,
  l: 19,
  g: 20,
} as const;
const CODE_EXECUTE_READ_ACCESSED = 11;
const DATA_READ_WRITE_ACCESSED = 3;
const CR0_PROTECTED_MODE = 1n;

function flatSegment(view: DataView, at: number, selector: number, type: number): void {
  view.setBigUint64(at + SEGMENT.base, 0n, true);
  view.setUint32(at + SEGMENT.limit, 0xffff_ffff, true);
  view.setUint16(at + SEGMENT.selector, selector, true);
  for (const [field, value] of [
    [SEGMENT.type, type],
    [SEGMENT.present, 1],
    [SEGMENT.dpl, 0],
    [SEGMENT.db, 1],
    [SEGMENT.s, 1],
    [SEGMENT.l, 0],
    [SEGMENT.g, 1],
  ] as const)
    view.setUint8(at + field, value);
}

/** 32-bit protected mode, paging off, every segment 4 GiB from 0; the rest as KVM resets it. */
export function x86SetFlat32(port: Port, vcpu: number): void {
  const sregs = new Uint8Array(SREGS.size);
  const view = new DataView(sregs.buffer);
  port.ioctl(vcpu, KVM_GET_SREGS, sregs);
  flatSegment(view, SREGS.cs, 8, CODE_EXECUTE_READ_ACCESSED);
  for (const at of SREGS.data) flatSegment(view, at, 16, DATA_READ_WRITE_ACCESSED);
  view.setBigUint64(SREGS.cr0, view.getBigUint64(SREGS.cr0, true) | CR0_PROTECTED_MODE, true);
  view.setBigUint64(SREGS.efer, 0n, true);
  port.ioctl(vcpu, KVM_SET_SREGS, sregs);
}

/** An entry of a 64-bit kernel: long mode with paging on and interrupts off, segments that a GDT of the guest's has. */
export interface LongMode {
  /** Guest-physical: the page tables' root, and the GDT with its size in bytes. */
  readonly cr3: bigint;
  readonly gdt: bigint;
  readonly gdtBytes: number;
  /** Selectors. */
  readonly code: number;
  readonly data: number;
}

const CR0_PAGING = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LONG_MODE = (1n << 8n) | (1n << 10n);

export function x86SetLongMode(port: Port, vcpu: number, { cr3, gdt, gdtBytes, code, data }: LongMode): void {
  const sregs = new Uint8Array(SREGS.size);
  const view = new DataView(sregs.buffer);
  port.ioctl(vcpu, KVM_GET_SREGS, sregs);
  flatSegment(view, SREGS.cs, code, CODE_EXECUTE_READ_ACCESSED);
  view.setUint8(SREGS.cs + SEGMENT.db, 0);
  view.setUint8(SREGS.cs + SEGMENT.l, 1);
  for (const at of SREGS.data) flatSegment(view, at, data, DATA_READ_WRITE_ACCESSED);
  view.setBigUint64(SREGS.gdt, gdt, true);
  view.setUint16(SREGS.gdt + 8, gdtBytes - 1, true);
  view.setBigUint64(SREGS.cr0, view.getBigUint64(SREGS.cr0, true) | CR0_PROTECTED_MODE | CR0_PAGING, true);
  view.setBigUint64(SREGS.cr3, cr3, true);
  view.setBigUint64(SREGS.cr4, CR4_PAE, true);
  view.setBigUint64(SREGS.efer, EFER_LONG_MODE, true);
  port.ioctl(vcpu, KVM_SET_SREGS, sregs);
}

export interface Msr {
  readonly index: number;
  readonly value: bigint;
}

/** struct kvm_msrs' header, and an entry. */
const MSRS_HEADER = 8;
const MSR_ENTRY = 16;

/** Returns how many KVM took, in their order: it stops at the first that it does not know. */
export function x86SetMsrs(port: Port, vcpu: number, msrs: readonly Msr[]): number {
  const bytes = new Uint8Array(MSRS_HEADER + msrs.length * MSR_ENTRY);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, msrs.length, true);
  for (const [at, { index, value }] of msrs.entries()) {
    view.setUint32(MSRS_HEADER + at * MSR_ENTRY, index, true);
    view.setBigUint64(MSRS_HEADER + at * MSR_ENTRY + 8, value, true);
  }
  return port.ioctl(vcpu, KVM_SET_MSRS, bytes);
}

/** General registers of struct kvm_regs: all zero but these; RFLAGS has only its fixed bit. */
export function x86SetRegs(
  port: Port,
  vcpu: number,
  { rip, rbx = 0n, rsi = 0n }: { readonly rip: bigint; readonly rbx?: bigint; readonly rsi?: bigint },
): void {
  const regs = new Uint8Array(144);
  const view = new DataView(regs.buffer);
  view.setBigUint64(8, rbx, true);
  view.setBigUint64(32, rsi, true);
  view.setBigUint64(128, rip, true);
  view.setBigUint64(136, 2n, true);
  port.ioctl(vcpu, KVM_SET_REGS, regs);
}

/** The frequency of the guest's time stamp counter, kHz; 0 where KVM does not know. Needs KVM_CAP_GET_TSC_KHZ. */
export function x86TscKhz(port: Port, vcpu: number): number {
  return port.ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
}
