/** What this machine can do for wcvmm, from asking it: nothing is concluded from a version, and nothing is changed. */
import { release } from 'node:os';
import { hostArchitecture } from '../../../vmm/kvm/arch/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { debugfs, readBack } from './evidence.ts';
import type { Finding } from './finding.ts';
import { architecture, kvmKind, kvmNode, virtualMachine } from './kvm.ts';
import { capabilities, hugePfnmaps, hugepages, lockdown, memlock } from './limits.ts';
import { deviceAndCookies, iommu, vfio, vfioPci } from './passthrough.ts';
import type { Way } from './passthrough.ts';

export interface Diagnosis {
  readonly schema: 'wcvmm.doctor/1';
  readonly kernel: string;
  readonly machine: string;
  /** The `--source` that was asked about. */
  readonly source: Way['source'];
  /** Would `verify` run? `blockedBy` holds the ids of the findings that are in its way. */
  readonly verify: { readonly runs: boolean; readonly blockedBy: readonly string[] };
  readonly findings: readonly Finding[];
}

export function diagnose(port: Port, way: Way, machine: string = process.arch): Diagnosis {
  const arch = hostArchitecture(machine);
  const kvm = kvmNode(port);
  const virtual = arch === null ? [] : [kvmKind(port, arch), ...(kvm.state === 'ok' ? virtualMachine(port, arch) : [])];
  const findings = [
    architecture(port, arch, machine),
    kvm,
    ...virtual,
    iommu(port, way),
    vfio(port, way),
    vfioPci(port, way),
    ...deviceAndCookies(port, way),
    hugePfnmaps(port),
    debugfs(port),
    ...(arch === null || kvm.state !== 'ok' ? [] : readBack(port, arch)),
    hugepages(port),
    memlock(port),
    capabilities(port),
    lockdown(port, way.source),
  ];
  const blockedBy = findings.filter(({ blocks }) => blocks).map(({ id }) => id);
  return {
    schema: 'wcvmm.doctor/1',
    kernel: release(),
    machine,
    source: way.source,
    verify: { runs: blockedBy.length === 0, blockedBy },
    findings,
  };
}
