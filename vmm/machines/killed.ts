/**
 * Why KVM_RUN failed for good, in a sentence: at which guest-physical address, what stands there, and what is likely behind it. KVM's
 * own word is an errno: KVM_EXIT_MEMORY_FAULT (KVM_CAP_MEMORY_FAULT_INFO, which need not be enabled) is only about private memory and
 * guest_memfd, up to Linux 7.3, and whoever runs the VM may find out more.
 */
import type { Arch } from '../../memattr/index.ts';
import type { Scope } from '../../common/scope.ts';
import { formatSize } from '../../common/size.ts';
import type { MemoryFault, VcpuExit } from '../kvm/exits.ts';
import { attempt } from '../sys/attempt.ts';
import { O_RDONLY } from '../sys/libc.ts';
import { pciFolder } from '../sys/pci.ts';
import { ERRNO, SysError, isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

/** A range of a machine's guest-physical space, bytes. */
export interface GuestPlace {
  readonly gpa: bigint;
  readonly length: bigint;
  readonly kind: 'ram' | 'window';
  /** As people know it: `bar2:0-64K=device`, `guest RAM`. */
  readonly name: string;
}

/** What is known of a machine whose guest was killed. */
export interface KilledMachine {
  readonly arch: Arch;
  readonly places: readonly GuestPlace[];
  /** Of the passed-through device; null: there is none. */
  readonly device: DeviceState | null;
}

/** absent: sysfs has no such device. silent: configuration reads as ones. undecoded: it answers no memory accesses. */
export type DeviceState = 'absent' | 'silent' | 'undecoded' | 'answers' | 'unknown';

const COMMAND = 4;
const COMMAND_MEMORY = 2;

/**
 * Says, whenever it is asked, what the device's own configuration space does, which VFIO does not stand before here. Its file is opened
 * now: a process that runs guests may have lost the right to. It is closed with `scope`.
 */
export function watchDevice(port: Port, scope: Scope, address: string): () => DeviceState {
  const fd = attempt(() => port.open(`${pciFolder(address)}/config`, O_RDONLY));
  if (fd === null) return () => 'unknown';
  scope.defer(() => port.close(fd));
  return () => stateOf(port, fd);
}

function stateOf(port: Port, fd: number): DeviceState {
  const bytes = new Uint8Array(COMMAND + 2);
  try {
    if (port.pread(fd, bytes, 0n) !== bytes.length) return 'unknown';
  } catch (error) {
    if (isErrno(error, 'ENODEV', 'ENXIO', 'ENOENT')) return 'absent';
    if (error instanceof SysError) return 'unknown';
    throw error;
  }
  const word = (offset: number): number => new DataView(bytes.buffer).getUint16(offset, true);
  if (word(0) === 0xffff) return 'silent';
  return (word(COMMAND) & COMMAND_MEMORY) === 0 ? 'undecoded' : 'answers';
}

const DEVICE_CAUSE: Readonly<Record<DeviceState, string | null>> = {
  absent: 'the device has gone from this machine',
  silent: 'the device does not answer any more: it was reset, lost power, or was pulled',
  undecoded:
    "the device's memory decoding is off (its command register), and VFIO has taken its BARs from every mapping: the guest or a reset did that",
  answers: null,
  unknown: null,
};

/** @param exit of KVM_RUN @param machine null: not known */
export function explainKilled({ errno, fault }: VcpuExit & { kind: 'killed' }, machine: KilledMachine | null): string {
  if (errno === ERRNO.EHWPOISON)
    return `KVM_RUN failed with EHWPOISON${whereIs(fault, machine)}: the host's memory there has an error that cannot be corrected. The kernel's log names the page.`;
  if (errno !== ERRNO.EFAULT)
    return `KVM_RUN failed with ${new SysError('', errno).errnoName}, which says no more; the kernel's log may.`;
  return `KVM_RUN failed with EFAULT${whereIs(fault, machine)}: ${fault === null ? unplaced(machine) : placed(fault, machine)}.`;
}

function placeOf(gpa: bigint, machine: KilledMachine | null): GuestPlace | null {
  return machine?.places.find((place) => gpa >= place.gpa && gpa < place.gpa + place.length) ?? null;
}

function whereIs(fault: MemoryFault | null, machine: KilledMachine | null): string {
  if (fault === null) return '';
  const place = placeOf(fault.gpa, machine);
  const inside = place === null ? '' : `, ${formatSize(fault.gpa - place.gpa)} into ${place.name}`;
  const by =
    fault.pc === null ? '' : ` (${fault.access ?? 'an access'} by the instruction at 0x${fault.pc.toString(16)})`;
  return ` at gpa 0x${fault.gpa.toString(16)}${inside}${by}`;
}

function placed(fault: MemoryFault, machine: KilledMachine | null): string {
  if (fault.isPrivate)
    return 'the guest takes the page for private memory, as a confidential guest does, and this VM has none';
  if (fault.isAlignment === true) return ALIGNMENT_CAUSE;
  const place = placeOf(fault.gpa, machine);
  if (place === null)
    return machine === null
      ? 'the host could not provide the page'
      : 'no memslot is known there; the guest made an access that KVM cannot carry out';
  return place.kind === 'ram' ? RAM_CAUSE : windowCause(machine);
}

/** Of an access to an address that has a memslot, and that came to the VMM all the same: the host had no page for it. null: none has. */
export function explainUnbacked(gpa: bigint, machine: KilledMachine | null): string | null {
  const place = placeOf(gpa, machine);
  if (place === null) return null;
  return `${formatSize(gpa - place.gpa)} into ${place.name}: ${place.kind === 'ram' ? RAM_CAUSE : windowCause(machine)}`;
}

const ALIGNMENT_CAUSE =
  'the access is one that stage 2 forbids there (unaligned, or DC ZVA, to what stage 2 makes Device), and this KVM ends the VM for it: a kernel with the series in kernel-patches/ gives the guest the fault instead';

const RAM_CAUSE =
  'the host has no page to give for it: its memory, its huge pages or the memory limit of its group are used up, or the file behind guest RAM was cut';

function windowCause(machine: KilledMachine | null): string {
  const known = machine?.device === null || machine === null ? null : DEVICE_CAUSE[machine.device];
  return (
    known ??
    'the host could not map the page of the BAR: the device was reset, asleep or without memory decoding at that moment, when VFIO takes its BARs from every mapping'
  );
}

/** arm64's KVM gives an access up that stage 2's type does not allow, too, and tells of neither where it was. */
function unplaced(machine: KilledMachine | null): string {
  const silent = 'this KVM does not say at which address';
  if (machine !== null && machine.arch !== 'arm64')
    return `${silent}, and its tracepoint kvm_page_fault could not be read: the host could not provide a page, or the guest made an access that KVM cannot carry out`;
  const cause = machine === null || machine.device === null ? null : DEVICE_CAUSE[machine.device];
  const windows = (machine?.places ?? []).filter(({ kind }) => kind === 'window').map(({ name }) => name);
  const where = windows.length === 0 ? '' : ` (${windows.join(', ')})`;
  return cause === null
    ? `${silent}. Most likely the guest made an access that stage 2 forbids (unaligned, to a window${where} that stage 2 makes Device), and this KVM ends the VM for it: a kernel with the series in kernel-patches/ gives the guest the fault instead`
    : `${silent}. ${cause.charAt(0).toUpperCase()}${cause.slice(1)}`;
}
