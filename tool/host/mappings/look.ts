/** How the kernel maps each target, by architecture: what x86's kernel has on record, what arm64's own loads show. */
import { Scope } from '../../../common/scope.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { MemoryKind } from '../../../memattr/index.ts';
import { readOr } from '../../../vmm/sys/attempt.ts';
import { MAP_SHARED, O_RDONLY, O_RDWR, PROT_READ } from '../../../vmm/sys/libc.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { pciFolder } from '../../../vmm/sys/pci.ts';
import { ERRNO, SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { openVfioDevice } from '../../../vmm/vfio/device.ts';
import { kindShown } from '../../verify/read-back/host-probe.ts';
import type { ProbeHost, ProbedPage } from '../../verify/read-back/host-probe.ts';
import { hostMtrr } from '../../verify/read-back/host-x86.ts';
import { memtypesOf, parseMemtypeList } from '../../verify/read-back/memtype-list.ts';
import { MEMTYPES } from '../../verify/read-back/paths.ts';
import { usesOf } from '../devices/use.ts';
import { whyRefused } from './targets.ts';
import type { HostTarget } from './targets.ts';

/** `refused`: it could not be mapped, and why. `hidden`: it was, and nothing shows as what. */
export type Looked =
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'hidden'; readonly why: string; readonly length: bigint }
  | {
      readonly kind: 'recorded';
      readonly types: readonly string[];
      readonly length: bigint;
      readonly before: readonly string[];
      /** What the MTRRs make of it; null: not known. */
      readonly mtrr: string | null;
    }
  | { readonly kind: 'loaded'; readonly shown: MemoryKind; readonly length: bigint };

/** One of the targets after the other: two mappings of a page at the same time would decide over each other. */
export type Look = (targets: readonly HostTarget[]) => readonly Looked[];

/** Bytes: enough to see how a BAR is mapped, and few page tables. */
const LONGEST = 16n << 20n;

/** x86: the kernel records each mapping's type, and nothing is loaded. */
export function lookAtRecord(port: Port): Look {
  return (targets) => targets.map((target) => onRecord(port, target));
}

function onRecord(port: Port, target: HostTarget): Looked {
  const { bar, path } = target;
  const length = bar.size < LONGEST ? bar.size : LONGEST;
  const scope = new Scope();
  try {
    const before = recorded(port, bar.start, length);
    const fd = port.open(path, O_RDWR);
    scope.defer(() => port.close(fd));
    const address = port.mmap({ length, protection: PROT_READ, flags: MAP_SHARED, fd, offset: 0n });
    scope.defer(() => port.munmap(address, length));
    const types = recorded(port, bar.start, length);
    if (types === null || before === null) return { kind: 'hidden', why: noRecord(port), length };
    return { kind: 'recorded', types, length, before, mtrr: hostMtrr(port, bar.start, length) };
  } catch (error) {
    if (error instanceof SysError) return { kind: 'refused', why: whyRefused(port, error.errnoName, target) };
    throw error;
  } finally {
    scope.close();
  }
}

/** null: the list cannot be read. */
function recorded(port: Port, start: bigint, length: bigint): readonly string[] | null {
  try {
    return memtypesOf(parseMemtypeList(port.readText(MEMTYPES)), start, length);
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}

function noRecord(port: Port): string {
  const lockdown = /\[(\w+)\]/.exec(readOr(port, '/sys/kernel/security/lockdown', ''))?.[1] ?? 'none';
  return lockdown === 'confidentiality'
    ? `kernel lockdown "${lockdown}" hides ${MEMTYPES}`
    : `${MEMTYPES} cannot be read: run as root, with debugfs mounted on /sys/kernel/debug, on a kernel with CONFIG_X86_PAT and CONFIG_DEBUG_FS`;
}

/** arm64: a load at the start of each BAR, through a mapping of each of its files. */
export function lookByLoads(port: Port, probe: ProbeHost): Look {
  return (targets) => {
    const scope = new Scope();
    try {
      const wake = waker(port, scope);
      const opened = targets.map((target) => openTarget(port, scope, target, wake));
      const pages = opened.flatMap((one) => ('fd' in one ? [one] : []));
      const made = probe(pages);
      const loads = made.kind === 'made' ? made.pages.values() : [].values();
      return opened.map((one): Looked => {
        if ('kind' in one) return one;
        const { bar } = one.target;
        if (made.kind === 'unavailable') return { kind: 'hidden', why: made.why, length: bar.size };
        const next = loads.next().value;
        if (next === undefined) return { kind: 'hidden', why: 'no load was made', length: bar.size };
        if (next.kind === 'refused')
          return { kind: 'refused', why: whyRefused(port, errnoName(next.errno), one.target) };
        const shown = kindShown(next);
        if (shown !== null) return { kind: 'loaded', shown, length: bar.size };
        const fault = next.aligned.kind === 'ok' ? next.unaligned : next.aligned;
        return {
          kind: 'hidden',
          why: whyFaulted(fault.kind === 'fault' ? fault.signal : fault.kind),
          length: bar.size,
        };
      });
    } finally {
      scope.close();
    }
  };
}

function whyFaulted(signal: string): string {
  return `the device does not answer loads (signal ${signal}): it may be off, asleep or gone`;
}

function errnoName(errno: number): string {
  const found = Object.entries(ERRNO).find(([, number]) => number === errno);
  return found?.[0] ?? `errno ${errno}`;
}

interface OpenTarget extends ProbedPage {
  readonly target: HostTarget;
}

function openTarget(port: Port, scope: Scope, target: HostTarget, wake: Wake): OpenTarget | Looked {
  const asleep = wake(target.pci);
  if (asleep !== null) return { kind: 'refused', why: asleep };
  try {
    const fd = port.open(target.path, O_RDONLY);
    scope.defer(() => port.close(fd));
    return { fd, offset: 0n, target };
  } catch (error) {
    if (error instanceof SysError) return { kind: 'refused', why: whyRefused(port, error.errnoName, target) };
    throw error;
  }
}

/** Why the device cannot be made to answer; null: it does. */
type Wake = (pci: PciDevice) => string | null;

/**
 * A device without a driver is switched on, and off again with `scope`; one that VFIO holds is opened unless somebody has it open;
 * any other driver has its device on. Each once.
 */
function waker(port: Port, scope: Scope): Wake {
  const known = new Map<string, string | null>();
  return (pci) => {
    const before = known.get(pci.address);
    if (before !== undefined) return before;
    const answer = wakeUp(port, scope, pci);
    known.set(pci.address, answer);
    return answer;
  };
}

function wakeUp(port: Port, scope: Scope, pci: PciDevice): string | null {
  try {
    if (pci.hasVfioDriver) {
      if (usesOf(port, pci).length === 0) openVfioDevice(port, scope, pci);
      return null;
    }
    const enable = `${pciFolder(pci.address)}/enable`;
    if (pci.driver !== null || readOr(port, enable, '0').trim() !== '0') return null;
    port.writeText(enable, '1');
    scope.defer(() => port.writeText(enable, '0'));
    return null;
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return 'only root may switch the device on for a load';
    if (error instanceof SysError || error instanceof WcvmmError)
      return `the device cannot be switched on: ${error.message}`;
    throw error;
  }
}
