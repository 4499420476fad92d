/** What this machine is, from what the kernel says of itself; nothing is concluded from a version. */
import { release } from 'node:os';
import type { Platform } from '../../memattr/index.ts';
import type { ReportPlatform } from '../report/report.ts';
import { Scope } from '../scope.ts';
import { KVM_CAP, checkExtension } from '../sys/kvm.ts';
import type { Port } from '../sys/port.ts';
import { createMachine } from '../kvm/machine.ts';
import type { Stage2Dump } from '../kvm/stage2.ts';

export interface KvmFacts {
  /** Stage 2 can force write-back (FEAT_S2FWB); null where nothing tells. */
  readonly fwb: boolean | null;
  /** KVM can give a guest MTE. */
  readonly mte: boolean;
}

const FWB_LINE = /detected: Stage-2 Force Write-?Back/i;
const ANY_CPU_FEATURE_LINE = /CPU features: detected:/;

/**
 * KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED needs FWB, so it proves it; its absence proves nothing (it needs DIC as well), and
 * then the boot log decides, as long as the lines of that time are still in it.
 */
export function kvmFacts(port: Port): KvmFacts {
  const scope = new Scope();
  try {
    // Asked of a VM: of /dev/kvm itself KVM answers EINVAL for capabilities that can differ between VMs.
    const { vm } = createMachine(port, scope);
    const has = (capability: number): boolean => checkExtension(port, vm, capability) > 0;
    return { fwb: has(KVM_CAP.armCacheablePfnmap) ? true : fwbFromLog(port), mte: has(KVM_CAP.armMte) };
  } finally {
    scope.close();
  }
}

function fwbFromLog(port: Port): boolean | null {
  try {
    const log = port.kernelLog();
    if (FWB_LINE.test(log)) return true;
    return ANY_CPU_FEATURE_LINE.test(log) ? false : null;
  } catch {
    return null;
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
