/**
 * Where a guest's access was that ended its VM. KVM_RUN only says EFAULT; KVM's tracepoint says the rest. The vCPU is as it was, so
 * that entered once more it makes the same access, and nothing need be traced before.
 */
import type { Arch } from '../../../memattr/index.ts';
import type { Scope } from '../../../common/scope.ts';
import { nestedPaging } from '../../../vmm/kvm/cpu-x86.ts';
import type { MemoryFault } from '../../../vmm/kvm/exits.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { startTrace } from './trace.ts';

interface FaultEvent {
  readonly system: string;
  readonly event: string;
  /** What the kernel prints of it. */
  readonly line: RegExp;
  /** @param numbers of the line's groups */
  read(numbers: readonly bigint[]): MemoryFault;
}

const PAGE_OFFSET = 0xfffn;

/** x86's page fault error code: an access that wrote. arm64's ESR_EL2: the same, and the fault's status (Arm ARM, "ISS encoding for an exception from a Data Abort"). */
const X86_WRITE = 1n << 1n;
const ARM64_WRITE = 1n << 6n;
const ARM64_STATUS = 0x3fn;
const ARM64_ALIGNMENT = 0x21n;

const EVENTS: Readonly<Record<Arch, FaultEvent>> = {
  // TRACE_EVENT(kvm_page_fault), arch/x86/kvm/trace.h; with EPT and NPT the address is guest-physical.
  x86: {
    system: 'kvm',
    event: 'kvm_page_fault',
    line: /kvm_page_fault: vcpu \d+ rip 0x([0-9a-f]{1,16}) address 0x([0-9a-f]{1,16}) error_code 0x([0-9a-f]{1,16})\s*$/,
    read: ([pc = 0n, gpa = 0n, code = 0n]) => ({
      gpa,
      length: null,
      isPrivate: false,
      pc,
      access: (code & X86_WRITE) !== 0n ? 'write' : 'read',
      isAlignment: false,
    }),
  },
  // TRACE_EVENT(kvm_guest_fault), arch/arm64/kvm/trace_arm.h: the IPA is that of the page.
  arm64: {
    system: 'kvm',
    event: 'kvm_guest_fault',
    line: /kvm_guest_fault: ipa (?:0x)?([0-9a-f]{1,16}), hsr (?:0x)?([0-9a-f]{1,16}), hxfar (?:0x)?([0-9a-f]{1,16}), pc (?:0x)?([0-9a-f]{1,16})\s*$/,
    read: ([ipa = 0n, esr = 0n, far = 0n, pc = 0n]) => ({
      gpa: (ipa & ~PAGE_OFFSET) | (far & PAGE_OFFSET),
      length: null,
      isPrivate: false,
      pc,
      access: (esr & ARM64_WRITE) !== 0n ? 'write' : 'read',
      isAlignment: (esr & ARM64_STATUS) === ARM64_ALIGNMENT,
    }),
  },
};

/** The last fault that a trace has; null: none of the right shape. */
export function lastFault(arch: Arch, trace: string): MemoryFault | null {
  const { line, read } = EVENTS[arch];
  const found = trace.split('\n').flatMap((text) => {
    const numbers = line.exec(text)?.slice(1);
    return numbers === undefined ? [] : [numbers.map((number) => BigInt(`0x${number}`))];
  });
  const last = found.at(-1);
  return last === undefined ? null : read(last);
}

const ROOM = 64;

/** @param again enters the vCPU once more, in the thread @returns null: nothing shows it */
export async function traceFault(
  port: Port,
  scope: Scope,
  arch: Arch,
  thread: number,
  again: () => Promise<unknown>,
): Promise<MemoryFault | null> {
  // With shadow page tables the address is the guest's virtual one.
  if (arch === 'x86' && nestedPaging(port) === null) return null;
  const { system, event } = EVENTS[arch];
  const trace = startTrace(port, scope, { system, event, filter: '0', thread, events: ROOM });
  if (trace.kind === 'unavailable') return null;
  await again();
  const text = attempt(() => trace.read());
  return text === null ? null : lastFault(arch, text);
}
