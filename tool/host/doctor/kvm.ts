/** The processor and KVM: without stage 2 in hardware nothing of what a guest sees says anything about memory types. */
import type { Arch, NestedPaging } from '../../../memattr/index.ts';
import { Scope } from '../../../common/scope.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { KvmArchitecture, KvmFacts } from '../../../vmm/kvm/arch/arch.ts';
import { cpuVendor, nestedPaging } from '../../../vmm/kvm/cpu-x86.ts';
import { openKvm } from '../../../vmm/kvm/vm.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import { kvmFacts } from '../../../vmm/kvm/facts.ts';
import { missing, note, ok } from './finding.ts';
import type { Finding } from './finding.ts';
import { readOr } from '../../../vmm/sys/attempt.ts';

/** MIDR_EL1.Implementer, as /proc/cpuinfo shows it (Arm ARM, MIDR_EL1). */
const IMPLEMENTERS: Readonly<Record<string, string>> = {
  '0x41': 'Arm',
  '0x46': 'Fujitsu',
  '0x48': 'HiSilicon',
  '0x4e': 'NVIDIA',
  '0x51': 'Qualcomm',
  '0x61': 'Apple',
  '0xc0': 'Ampere',
};

function vendor(port: Port): string {
  const implementer = /^CPU implementer\s*:\s*(\S+)$/m.exec(readOr(port, '/proc/cpuinfo', ''))?.[1];
  if (implementer !== undefined) return IMPLEMENTERS[implementer] ?? `implementer ${implementer}`;
  return cpuVendor(port) ?? 'vendor unknown';
}

export function architecture(port: Port, arch: KvmArchitecture | null, machine: string): Finding {
  if (arch === null)
    return missing(
      'architecture',
      `${machine}: wcvmm has no guest for it`,
      'use an arm64 or x86-64 machine, or --testbed arm64',
      true,
    );
  return ok('architecture', `${arch.name}, ${vendor(port)}`);
}

export function kvmNode(port: Port): Finding {
  const scope = new Scope();
  try {
    openKvm(port, scope);
    return ok('kvm', '/dev/kvm opens, API version 12');
  } catch (error) {
    if (!(error instanceof WcvmmError)) throw error;
    const mend =
      error.code === 'E_PERMISSION'
        ? 'run as root, or add this user to the group that owns /dev/kvm'
        : 'load the module (modprobe kvm_intel or kvm_amd), switch virtualization on in the firmware; in a cloud choose a bare-metal instance';
    return missing('kvm', error.message.split('. ')[0] ?? error.message, mend, true);
  } finally {
    scope.close();
  }
}

function cpuFlags(port: Port): readonly string[] {
  return (/^flags\s*:\s*(.*)$/m.exec(readOr(port, '/proc/cpuinfo', ''))?.[1] ?? '').split(' ');
}

const KVM_KIND: Readonly<Record<Arch, (port: Port) => Finding>> = {
  arm64: () => ok('kvm-kind', 'stage 2 in hardware, as every arm64 KVM'),
  x86: kvmKindOnX86,
};

/** Which machinery stands behind /dev/kvm. */
export function kvmKind(port: Port, arch: KvmArchitecture): Finding {
  return KVM_KIND[arch.name](port);
}

function kvmKindOnX86(port: Port): Finding {
  const flags = cpuFlags(port);
  const paging = nestedPaging(port);
  if (paging !== null) return nested(paging, flags.includes('hypervisor'));
  if (!flags.includes('vmx') && !flags.includes('svm')) {
    const what = port.exists('/sys/module/kvm_pvm') ? 'kvm_pvm' : 'a KVM in software';
    return missing(
      'kvm-kind',
      `${what}: no EPT or NPT but page tables kept in software. A guest may run, cannot do all that verify asks, and what it sees says nothing about stage 2`,
      'choose a bare-metal instance for verdicts; "wcvmm run --source memory" works',
      true,
    );
  }
  return missing(
    'kvm-kind',
    'EPT or NPT is not in use: with shadow page tables nothing that a guest sees says anything about stage 2',
    'load kvm_intel with ept=1, or kvm_amd with npt=1, on a processor that has it',
    false,
  );
}

function nested(paging: NestedPaging, belowAnother: boolean): Finding {
  const name = paging.toUpperCase();
  const strict =
    paging === 'npt' ? "; a guest's own PAT WC wins over every host type, so that no window can be made strict" : '';
  if (belowAnother)
    return note(
      'kvm-kind',
      `${name}, and the hypervisor below decides over memory types too${strict}`,
      'choose a bare-metal instance for verdicts',
    );
  return strict === '' ? ok('kvm-kind', name) : note('kvm-kind', `${name}${strict}`);
}

/** A VM and a vCPU are made and unmade: whoever may open /dev/kvm may still not be able to do that. */
export function virtualMachine(port: Port, arch: KvmArchitecture): readonly Finding[] {
  let facts: KvmFacts;
  try {
    facts = kvmFacts(port, arch);
  } catch (error) {
    if (!(error instanceof SysError) && !(error instanceof WcvmmError)) throw error;
    return [
      missing(
        'vm',
        `no VM can be made: ${error.message}`,
        'see the kernel log (dmesg); another hypervisor may hold the processor',
        true,
      ),
    ];
  }
  const vm = ok('vm', 'a VM with a vCPU can be made');
  if (facts.fwb === null) return [vm];
  const fwb = facts.fwb
    ? ok('fwb', 'FEAT_S2FWB: stage 2 can force write-back')
    : note('fwb', 'no FEAT_S2FWB: stage 2 and stage 1 combine to the stricter of both; the model knows that');
  const mte = facts.mte
    ? ok('mte', 'guests can have memory tagging')
    : note('mte', 'no memory tagging for guests: tag retention cannot be asked');
  return [vm, fwb, mte];
}
