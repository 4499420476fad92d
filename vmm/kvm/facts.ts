import { Scope } from '../../common/scope.ts';
import type { Port } from '../sys/port.ts';
import type { KvmArchitecture, KvmFacts } from './arch/arch.ts';
import { addVcpu } from './vcpu.ts';
import { createVm } from './vm.ts';

/** What this machine's KVM gives a guest, asked of a VM that never runs. Throws as createVm does. */
export function kvmFacts(port: Port, arch: KvmArchitecture): KvmFacts {
  const scope = new Scope();
  try {
    const vm = createVm(port, scope);
    const vcpu = addVcpu(port, scope, vm);
    arch.initBareVcpu(port, vm, vcpu.fd, { entry: 0n, argument: 0n });
    return arch.facts(port, vm, vcpu.fd);
  } finally {
    scope.close();
  }
}
