import { cpuVendor, nestedPaging } from '../../../vmm/kvm/cpu-x86.ts';
import { readOr } from '../../../vmm/sys/attempt.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { DoctorArchitecture } from './architecture.ts';
import { DEBUGFS, TRACEFS, kernelFile } from './debugfs.ts';
import { missing, note, ok } from './finding.ts';
import type { Finding } from './finding.ts';
import { x86Irqchip } from './irqchip.ts';

function cpuFlags(port: Port): readonly string[] {
  return (/^flags\s*:\s*(.*)$/m.exec(readOr(port, '/proc/cpuinfo', ''))?.[1] ?? '').split(' ');
}

function kvmKind(port: Port): Finding {
  const flags = cpuFlags(port);
  const paging = nestedPaging(port);
  if (paging !== null) return nested(paging, flags.includes('hypervisor'));
  if (!flags.includes('vmx') && !flags.includes('svm')) {
    const what = port.exists('/sys/module/kvm_pvm') ? 'kvm_pvm' : 'a KVM in software';
    return missing(
      'kvm-kind',
      `${what}: it has no EPT or NPT but keeps page tables in software. A guest may run, but not all that verify needs works, and what it sees says nothing about stage 2`,
      'choose a bare-metal instance for verdicts; "wcvmm run --source memory" works here',
      true,
    );
  }
  return missing(
    'kvm-kind',
    'EPT or NPT is off: with shadow page tables nothing that a guest sees says anything about stage 2',
    'load kvm_intel with ept=1, or kvm_amd with npt=1, on a processor that has it',
    false,
  );
}

function nested(paging: 'ept' | 'npt', belowAnother: boolean): Finding {
  const name = paging.toUpperCase();
  const strict =
    paging === 'npt' ? "; a guest's own PAT WC wins over every host type, so no window can be made strict" : '';
  if (belowAnother)
    return note(
      'kvm-kind',
      `${name}, inside another hypervisor, which affects memory types too${strict}`,
      'choose a bare-metal instance for verdicts',
    );
  return strict === '' ? ok('kvm-kind', name) : note('kvm-kind', `${name}${strict}`);
}

function readBack(port: Port): readonly Finding[] {
  return [
    kernelFile(
      port,
      'spte-tracepoint',
      `${TRACEFS}/events/kvmmmu/kvm_mmu_set_spte`,
      'EPT and NPT entries as KVM makes them',
      'mount -t tracefs tracefs /sys/kernel/tracing, on a kernel with CONFIG_FTRACE',
    ),
    kernelFile(
      port,
      'pat-list',
      `${DEBUGFS}/x86/pat_memtype_list`,
      "the kernel's record of memory types",
      'mount debugfs, on a kernel with CONFIG_X86_PAT and CONFIG_DEBUG_FS',
    ),
    kernelFile(
      port,
      'host-ptdump',
      `${DEBUGFS}/page_tables/current_kernel`,
      "this process's own page tables",
      'a kernel with CONFIG_PTDUMP_DEBUGFS',
    ),
    kernelFile(port, 'msr', '/dev/cpu/0/msr', 'the PAT and the MTRRs', 'modprobe msr'),
  ];
}

/** None is known of. */
const silicon = (): readonly Finding[] => [];

export const x86: DoctorArchitecture = { vendor: cpuVendor, silicon, kvmKind, irqchip: x86Irqchip, readBack };
