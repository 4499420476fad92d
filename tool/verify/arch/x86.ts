import { MEMTYPES, PAGE_TABLES } from '../read-back/paths.ts';
import { usualMtrr, x86 } from '../../../memattr/index.ts';
import type { MtrrType } from '../../../memattr/index.ts';
import { sampleAccesses } from '../read-back/accesses.ts';
import { canReadMsrs, compareCpus, hostMtrr, hostPat, sevStatus } from '../read-back/host-x86.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { parseHostPtdump, readHostRange } from '../read-back/host-ptdump.ts';
import { memtypesOf, parseMemtypeList } from '../read-back/memtype-list.ts';
import type { BarSource } from '../../../vmm/vfio/source.ts';
import type { OpenWindow } from '../../../vmm/vfio/open-windows.ts';
import type { Window } from '../../../vmm/memory/index.ts';
import { cpuField } from '../origin.ts';
import type { Scope } from '../../../common/scope.ts';
import type { KvmFacts } from '../../../vmm/kvm/arch/arch.ts';
import type { HostMapped, HostMappings, Recording, VerifyArchitecture } from './arch.ts';

/** Where the window is in physical memory; null for memory instead of a device, or where sysfs does not say. */
function physical({ pci }: Pick<BarSource, 'pci'>, { bar, offset }: Window): bigint | null {
  const start = pci?.bars[bar]?.start ?? 0n;
  return start === 0n ? null : start + offset;
}

function mtrrOf(port: Port, source: BarSource, windows: readonly OpenWindow[]): MtrrType | null {
  if (source.kind === 'memory') return usualMtrr('memory');
  const types = new Set(
    windows.map((window) => {
      const start = physical(source, window);
      return start === null ? null : hostMtrr(port, start, window.length);
    }),
  );
  const [only = null] = types;
  return types.size === 1 ? only : null;
}

function readHostMappings(port: Port, opened: readonly HostMapped[]): HostMappings {
  try {
    const ranges = parseHostPtdump(port.readText(PAGE_TABLES));
    const list = opened.every(({ source }) => source.pci === null) ? null : parseMemtypeList(port.readText(MEMTYPES));
    const pat = hostPat(port);
    return {
      kind: 'read',
      windows: opened.flatMap(({ source, windows }) =>
        windows.map((window) => {
          const { memoryType, mixed } = readHostRange(ranges, window.mapping.address, window.length, pat);
          const start = physical(source, window);
          return {
            programmed: mixed ? 'mixed' : memoryType,
            reserved: list === null || start === null ? null : memtypesOf(list, start, window.length),
            observed: null,
          };
        }),
      ),
    };
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM'))
      return { kind: 'unavailable', why: `${PAGE_TABLES} and ${MEMTYPES} may only be read by root` };
    if (isErrno(error, 'ENOENT', 'ENODEV'))
      return {
        kind: 'unavailable',
        why: `${PAGE_TABLES} and ${MEMTYPES} cannot be read: mount debugfs on /sys/kernel/debug and use a kernel with CONFIG_PTDUMP_DEBUGFS`,
      };
    throw error;
  }
}

function recordAccesses(port: Port, scope: Scope, facts: KvmFacts, opened: HostMapped): Recording | null {
  if (facts.vendor !== AMD || opened.source.pci === null) return null;
  const sampling = sampleAccesses(port, scope);
  if (sampling.kind === 'unavailable') return sampling;
  const { sampler } = sampling;
  return {
    kind: 'recorded',
    recorder: {
      start: () => sampler.start(),
      stop: (index) => {
        const window = opened.windows[index];
        const from = window === undefined ? null : physical(opened.source, window);
        const counts = sampler.stop(from ?? 0n, window?.length ?? 0n);
        return from === null ? null : counts;
      },
    },
  };
}

const AMD = 'AuthenticAMD';

function registerLimits(port: Port): readonly string[] {
  if (!canReadMsrs(port))
    return [
      "the host's PAT and MTRRs were not read, which takes root and the module msr: Linux's usual PAT is assumed, and every MTRR type is possible",
    ];
  const { there, compared, unlike } = compareCpus(port);
  if (unlike.length > 0)
    return [
      `the PAT or the MTRRs of CPU ${unlike.slice(0, 8).join(', ')}${unlike.length > 8 ? ' and others' : ''} are not those of CPU 0, which are the ones that were used: on those CPUs any type here may be another`,
    ];
  return compared < there
    ? [`the host's PAT and MTRRs were read on ${compared} of ${there} CPUs, and are taken to be the same on the others`]
    : [];
}

/** SEV_STATUS, which only a guest of AMD's SEV can read. */
function sevOf(port: Port): string | null {
  const status = sevStatus(port);
  if (status === null || (status & 1n) === 0n) return null;
  return (status & 4n) !== 0n ? 'SEV-SNP' : (status & 2n) !== 0n ? 'SEV-ES' : 'SEV';
}

export const verifyX86: VerifyArchitecture = {
  model: x86,
  stage1Types: () => x86.stage1Types,
  controlPlatform: ({ nestedPaging, guestPat }) => ({
    fwb: null,
    faultForwarding: null,
    mte: false,
    nestedPaging,
    guestPat: guestPat === true,
    mtrr: usualMtrr('memory'),
  }),
  windowsPlatform: (port, { nestedPaging, guestPat }, source, windows) => ({
    fwb: null,
    faultForwarding: null,
    mte: false,
    nestedPaging,
    guestPat: guestPat === true,
    mtrr: mtrrOf(port, source, windows),
  }),
  // No type makes an access fault.
  unknowns: () => [],
  readHostMappings,
  // No x86 memory type makes an access fault.
  loadByHost: () => null,
  recordAccesses,
  hostLimits: registerLimits,
  cpu: (port) => {
    const numbers = ['cpu family', 'model', 'stepping'].map((name) => cpuField(port, name));
    return {
      model: cpuField(port, 'model name'),
      stepping: numbers.includes(null) ? null : `family ${numbers[0]} model ${numbers[1]} stepping ${numbers[2]}`,
      microcode: cpuField(port, 'microcode'),
    };
  },
  underHypervisor: (port) => cpuField(port, 'flags')?.split(' ').includes('hypervisor') ?? null,
  confidential: (port) => {
    if (cpuField(port, 'flags')?.split(' ').includes('tdx_guest') === true) return 'TDX';
    return port.exists('/dev/sev-guest') ? 'SEV-SNP' : sevOf(port);
  },
  blindness: (emulator) =>
    emulator === null
      ? "no x86 memory type makes an access fault, and no window's timing was that of one type"
      : `${emulator} models no caches or write buffers, and no x86 memory type makes an access fault: effective types are computed from the entries that were read back`,
};
