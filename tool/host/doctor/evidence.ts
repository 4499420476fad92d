/** What lets wcvmm read back what KVM programmed. Without it verdicts rest on what the guest saw alone. */
import type { Arch } from '../../../memattr/index.ts';
import { Scope } from '../../../common/scope.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { KvmArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import { createVm } from '../../../vmm/kvm/vm.ts';
import { readStage2 } from '../../verify/read-back/stage2.ts';
import { isErrno, SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { missing, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';

const DEBUGFS = '/sys/kernel/debug';
const TRACEFS = '/sys/kernel/tracing';

function readable(port: Port, path: string): 'yes' | 'no' | 'forbidden' {
  try {
    port.list(path);
    return 'yes';
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return 'forbidden';
    if (error instanceof SysError) return 'no';
    throw error;
  }
}

export function debugfs(port: Port): Finding {
  const answer = readable(port, `${DEBUGFS}/kvm`);
  if (answer === 'yes') return ok('debugfs', `${DEBUGFS}/kvm can be read`);
  if (answer === 'forbidden' || readable(port, DEBUGFS) === 'forbidden')
    return missing('debugfs', `${DEBUGFS} may not be read`, 'run as root', false);
  return missing(
    'debugfs',
    `${DEBUGFS}/kvm is not there`,
    'mount -t debugfs debugfs /sys/kernel/debug, on a kernel with CONFIG_DEBUG_FS',
    false,
  );
}

/** arm64: a VM is made and its dump read, since the file exists only as long as a VM does. */
function stage2Dump(port: Port): Finding {
  const scope = new Scope();
  try {
    const dump = readStage2(port, createVm(port, scope).debugName);
    if (dump.kind === 'read') return ok('stage2-dump', "a VM's stage2_page_tables can be read");
    return missing(
      'stage2-dump',
      dump.why,
      'run as root with debugfs mounted, on a kernel with CONFIG_PTDUMP_STAGE2_DEBUGFS',
      false,
    );
  } catch (error) {
    if (!(error instanceof WcvmmError) && !(error instanceof SysError)) throw error;
    return unknown('stage2-dump', 'no VM can be made to read the dump of', null);
  } finally {
    scope.close();
  }
}

/** A file that the kernel makes when it boots: there or not. */
function file(port: Port, id: string, path: string, what: string, mend: string): Finding {
  if (port.exists(path)) return ok(id, `${path}: ${what}`);
  const folder = path.split('/').slice(0, 4).join('/');
  if (readable(port, folder) === 'forbidden') return unknown(id, `${folder} may not be read`, 'run as root');
  return missing(id, `${path} is not there`, mend, false);
}

const READ_BACK: Readonly<Record<Arch, (port: Port) => readonly Finding[]>> = {
  arm64: (port) => [stage2Dump(port)],
  x86: (port) => [
    file(
      port,
      'spte-tracepoint',
      `${TRACEFS}/events/kvmmmu/kvm_mmu_set_spte`,
      'EPT and NPT entries as they are made',
      'mount -t tracefs tracefs /sys/kernel/tracing, on a kernel with CONFIG_FTRACE',
    ),
    file(
      port,
      'pat-list',
      `${DEBUGFS}/x86/pat_memtype_list`,
      "the kernel's record of memory types",
      'mount debugfs, on a kernel with CONFIG_X86_PAT and CONFIG_DEBUG_FS',
    ),
    file(
      port,
      'host-ptdump',
      `${DEBUGFS}/page_tables/current_kernel`,
      "this process's own page tables",
      'a kernel with CONFIG_PTDUMP_DEBUGFS',
    ),
    file(port, 'msr', '/dev/cpu/0/msr', 'the PAT and the MTRRs', 'modprobe msr'),
  ],
};

export function readBack(port: Port, arch: KvmArchitecture): readonly Finding[] {
  return READ_BACK[arch.name](port);
}
