/** What this machine can do for wcvmm, by asking it: nothing is concluded from a version, and no setting is changed. */
import { release } from 'node:os';
import { hostArchitecture } from '../../../vmm/kvm/arch/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { DOCTOR_ARCHITECTURES } from './architectures.ts';
import { debugfs } from './debugfs.ts';
import { deviceAndCookies } from './device.ts';
import type { Finding } from './finding.ts';
import { architecture, kvmNode, virtualMachine } from './kvm.ts';
import { capabilities, hugePfnmaps, hugepages, lockdown, memlock } from './limits.ts';
import { iommu, vfio, vfioPci } from './passthrough.ts';
import type { DoctorRequest } from './passthrough.ts';
import { sandbox } from './sandbox.ts';

export interface Diagnosis {
  readonly schema: 'wcvmm.doctor/2';
  readonly kernel: string;
  readonly machine: string;
  /** The `--source` that was asked about. */
  readonly source: DoctorRequest['source'];
  /** Would `verify` run? `blockedBy` holds the ids of the findings that keep it from running. */
  readonly verify: { readonly runs: boolean; readonly blockedBy: readonly string[] };
  readonly findings: readonly Finding[];
}

/** Only a device that `request` names is opened, which resets it. Throws E_USAGE for a text that is no PCI address. */
export function diagnose(port: Port, request: DoctorRequest, machine: string = process.arch): Diagnosis {
  const arch = hostArchitecture(machine);
  const own = arch === null ? null : DOCTOR_ARCHITECTURES[arch.name];
  const kvm = kvmNode(port);
  const findings = [
    architecture(port, arch, machine),
    kvm,
    ...(own === null ? [] : [...own.silicon(port), own.kvmKind(port)]),
    ...(arch === null || kvm.state !== 'ok' ? [] : virtualMachine(port, arch)),
    ...(own === null || kvm.state !== 'ok' ? [] : [own.irqchip(port)]),
    iommu(port, request),
    vfio(port, request),
    vfioPci(port, request),
    ...deviceAndCookies(port, request),
    hugePfnmaps(port),
    debugfs(port),
    ...(own === null || kvm.state !== 'ok' ? [] : own.readBack(port)),
    hugepages(port),
    memlock(port),
    capabilities(port),
    lockdown(port, request.source),
    sandbox(),
  ];
  const blockedBy = findings.filter(({ blocks }) => blocks).map(({ id }) => id);
  return {
    schema: 'wcvmm.doctor/2',
    kernel: release(),
    machine,
    source: request.source,
    verify: { runs: blockedBy.length === 0, blockedBy },
    findings,
  };
}
