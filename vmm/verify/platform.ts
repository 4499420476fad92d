/** What this machine is, from what the kernel says of itself; nothing is concluded from a version. */
import { release } from 'node:os';
import type { Platform } from '../../memattr/index.ts';
import type { ReportPlatform } from '../report/report.ts';
import { Scope } from '../scope.ts';
import type { Port } from '../sys/port.ts';
import type { GuestArchitecture, KvmFacts } from '../kvm/arch/arch.ts';
import { createMachine } from '../kvm/machine.ts';
import type { Stage2Dump } from '../kvm/stage2.ts';
import { addVcpu } from '../kvm/vcpu.ts';

export function kvmFacts(port: Port, arch: GuestArchitecture): KvmFacts {
  const scope = new Scope();
  try {
    const machine = createMachine(port, scope);
    const vcpu = addVcpu(port, scope, machine, arch, arch.ramBase);
    return arch.facts(port, machine, vcpu.fd);
  } finally {
    scope.close();
  }
}

/**
 * Does this KVM give the guest the alignment fault that stage 2 raises, instead of ending its VM? The change that does so
 * comes in one series with the memory types in the stage-2 dump, and those can be seen without killing anything.
 */
export function forwardsAlignmentFaults(dump: Stage2Dump): boolean {
  return dump.kind === 'read' && dump.ranges.some(({ memoryType }) => memoryType !== null);
}

export function modelPlatform(facts: KvmFacts, dump: Stage2Dump, mte: boolean): Platform {
  return { fwb: facts.fwb, faultForwarding: forwardsAlignmentFaults(dump), mte };
}

export function reportPlatform(facts: KvmFacts, cookies: boolean): ReportPlatform {
  const emulator = process.env['WCVMM_TESTBED'] ?? null;
  return { kind: emulator === null ? 'native' : 'testbed', emulator, kernel: release(), cookies, fwb: facts.fwb };
}
