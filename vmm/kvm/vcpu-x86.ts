/** A vCPU of an x86 Linux guest before its first instruction. */
import { KVM_CAP, checkExtension } from '../sys/kvm.ts';
import { x86SetCpuid, x86SetLongMode, x86SetMsrs, x86SetRegs, x86SupportedCpuid, x86TscKhz } from '../sys/kvm-x86.ts';
import type { LongMode, Msr } from '../sys/kvm-x86.ts';
import type { Port } from '../sys/port.ts';
import { cpuidFor, physicalBits } from './cpuid-x86.ts';

/** Where the first vCPU starts, and what it finds in RSI. */
export interface KernelStart extends LongMode {
  readonly rip: bigint;
  readonly rsi: bigint;
}

/** @param start null: it waits until another vCPU starts it */
export function initLinuxVcpu(
  port: Port,
  { kvm, vm }: { readonly kvm: number; readonly vm: number },
  vcpu: number,
  { id, count }: { readonly id: number; readonly count: number },
  start: KernelStart | null,
): void {
  const supported = x86SupportedCpuid(port, kvm);
  const hasTscDeadline = checkExtension(port, vm, KVM_CAP.tscDeadlineTimer) > 0;
  x86SetCpuid(port, vcpu, cpuidFor(supported, { id, count, hasTscDeadline }));
  // What KVM does not take of them, the guest does without.
  x86SetMsrs(port, vcpu, startMsrs(physicalBits(supported)));
  if (start === null) return;
  x86SetLongMode(port, vcpu, start);
  x86SetRegs(port, vcpu, start);
}

/** kHz; null where KVM does not say. */
export function tscKilohertz(port: Port, vm: number, vcpu: number): number | null {
  const kilohertz = checkExtension(port, vm, KVM_CAP.getTscKhz) > 0 ? x86TscKhz(port, vcpu) : 0;
  return kilohertz > 0 ? kilohertz : null;
}

const IA32_MISC_ENABLE = 0x1a0;
const FAST_STRINGS = 1n;
const MTRR_DEFAULT_TYPE = 0x2ff;
const MTRR_FIRST_BASE = 0x200;
const MTRR_FIRST_MASK = 0x201;
const MTRR_ENABLED = 1n << 11n;
const WRITE_BACK = 6n;
const UNCACHED = 0n;
const GIB = 1n << 30n;

/** As firmware leaves them: memory is write-back but for the GiB of devices below 4 GiB. Without, Linux uses no PAT. */
function startMsrs(bits: number): readonly Msr[] {
  const deviceGib = 3n * GIB;
  const mask = ((1n << BigInt(bits)) - 1n) & ~(GIB - 1n);
  return [
    { index: MTRR_DEFAULT_TYPE, value: MTRR_ENABLED | WRITE_BACK },
    { index: MTRR_FIRST_BASE, value: deviceGib | UNCACHED },
    { index: MTRR_FIRST_MASK, value: mask | MTRR_ENABLED },
    { index: IA32_MISC_ENABLE, value: FAST_STRINGS },
  ];
}
