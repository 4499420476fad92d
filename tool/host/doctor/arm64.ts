import { WcvmmError } from '../../../common/errors.ts';
import { Scope } from '../../../common/scope.ts';
import { createVm } from '../../../vmm/kvm/vm.ts';
import { readOr } from '../../../vmm/sys/attempt.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { hazardsHere } from '../../verify/read-back/silicon.ts';
import { readStage2 } from '../../verify/read-back/stage2.ts';
import type { DoctorArchitecture } from './architecture.ts';
import { missing, note, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';
import { arm64Irqchip } from './irqchip.ts';

/** MIDR_EL1.Implementer, as /proc/cpuinfo shows it (Arm ARM, MIDR_EL1). */
const IMPLEMENTERS: ReadonlyMap<string, string> = new Map([
  ['0x41', 'Arm'],
  ['0x46', 'Fujitsu'],
  ['0x48', 'HiSilicon'],
  ['0x4e', 'NVIDIA'],
  ['0x51', 'Qualcomm'],
  ['0x61', 'Apple'],
  ['0xc0', 'Ampere'],
]);

function vendor(port: Port): string | null {
  const implementer = /^CPU implementer\s*:\s*(\S+)$/m.exec(readOr(port, '/proc/cpuinfo', ''))?.[1];
  return implementer === undefined ? null : (IMPLEMENTERS.get(implementer) ?? `implementer ${implementer}`);
}

/** A VM is made and its dump read, since the file exists only as long as a VM does. */
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
    return unknown('stage2-dump', 'no VM can be created to read the dump of', null);
  } finally {
    scope.close();
  }
}

/** A warning for each hazard; `default` and `wc` let guests have Normal-NC, and `wc` the host. */
function silicon(port: Port): readonly Finding[] {
  const hazards = hazardsHere(port);
  if (hazards.length === 0) return [ok('silicon', 'no memory type of a BAR is known to do harm on this one')];
  return hazards.map(({ id, silicon: name, affects, certain, what }) => {
    const detail = `${certain ? '' : 'this may be '}${name}: ${what}`;
    const fix =
      affects === 'normal-nc'
        ? 'map no BAR as default or wc, as in --map bar2=device; without --map a BAR is divided among all three'
        : 'put a barrier between a store to a device and a load that must come after it';
    return certain ? note(`silicon-${id}`, `DANGER: ${detail}`, fix) : unknown(`silicon-${id}`, detail, fix);
  });
}

export const arm64: DoctorArchitecture = {
  vendor,
  silicon,
  kvmKind: () => ok('kvm-kind', 'stage 2 in hardware, as with every KVM on arm64'),
  irqchip: arm64Irqchip,
  readBack: (port) => [stage2Dump(port)],
};
