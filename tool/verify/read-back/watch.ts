import type { Scope } from '../../../common/scope.ts';
import { nestedPaging } from '../../../vmm/kvm/cpu-x86.ts';
import type { Arch } from '../../../memattr/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { readStage2 } from './stage2.ts';
import { unreadable } from './stage2-watch.ts';
import type { Stage2Watch, WatchStage2, WatchedVm } from './stage2-watch.ts';

const WATCHES: Readonly<Record<Arch, WatchStage2>> = {
  arm64: (port, _scope, { debugName }) => Promise.resolve({ read: () => readStage2(port, debugName) }),
  x86: watchX86,
};

/** What KVM programs in stage 2 of a VM that has not run yet, from now on until `scope` closes. */
export function watchStage2(arch: Arch, port: Port, scope: Scope, vm: WatchedVm): Promise<Stage2Watch> {
  return WATCHES[arch](port, scope, vm);
}

async function watchX86(port: Port, scope: Scope, vm: WatchedVm): Promise<Stage2Watch> {
  const paging = nestedPaging(port);
  if (paging === null) {
    return unreadable('KVM uses neither EPT nor NPT here, so there is no stage 2 to read');
  }
  // Loaded late: it needs all of memattr.
  const { watchSptes } = await import('./spte-watch.ts');
  return watchSptes(port, scope, vm, paging);
}
