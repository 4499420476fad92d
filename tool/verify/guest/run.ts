/** One life of a bare guest: a new VM, its memslots, one vCPU, the records and what KVM programmed, and nothing left. */
import type { Access, ProbeName } from '../../../memattr/index.ts';
import { Scope } from '../../../common/scope.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { GuestArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import { createMachine } from '../../../vmm/kvm/vm.ts';
import type { Machine } from '../../../vmm/kvm/vm.ts';
import type { Stage2Dump } from '../read-back/stage2.ts';
import { addVcpu } from '../../../vmm/kvm/vcpu.ts';
import type { VcpuThread } from '../../../vmm/kvm/vcpu.ts';
import type { BusLocks, Exchange, VcpuRun } from '../../../vmm/kvm/vcpu-protocol.ts';
import type { HostMapping } from '../../../vmm/memory/mapping.ts';
import { ABI, LOG_AT, encodeCells, encodeParams } from './abi.ts';
import type { Cell } from './abi.ts';
import type { GuestImage } from '../../../vmm/boot/elf.ts';
import { allocateRam, copyLog, loadImage } from './ram.ts';
import type { GuestRam } from './ram.ts';

/** A window as a guest gets it. */
export interface GuestWindow {
  readonly gpa: bigint;
  readonly mapping: HostMapping;
  /** `trapped`: no memslot; each of the guest's accesses is an exit, and is made on `mapping`. */
  readonly access: Access;
}

export interface GuestJob {
  readonly image: GuestImage;
  readonly windows: readonly GuestWindow[];
  /** Encodings of the stage-1 types that the cells name. */
  readonly stage1: readonly number[];
  readonly cells: readonly Cell[];
  readonly mte?: boolean;
  readonly ramLength?: number;
  readonly timeoutMs: number;
  readonly onConsole?: (text: string) => void;
  readonly signal?: AbortSignal;
  /** Called with guest RAM before the first entry, to map it for a device's DMA. */
  readonly onRam?: (ram: GuestRam) => void;
}

export interface GuestLife extends Omit<VcpuRun, 'busLocks' | 'trappedExits'> {
  /** Accesses that were exits, by window; 0 for one that is mapped. */
  readonly windowExits: readonly number[];
  /** null: this KVM does not tell. */
  readonly busLocks: readonly BusLocks[] | null;
  /** The log's bytes, not looked at yet. */
  readonly log: Uint8Array;
  readonly stage2: Stage2Dump;
}

export async function runGuest(
  port: Port,
  arch: GuestArchitecture,
  thread: VcpuThread,
  job: GuestJob,
): Promise<GuestLife> {
  const scope = new Scope();
  try {
    const machine = machineFor(port, scope, job);
    const exits = arch.enableExits(port, machine);
    const ram = allocateRam(port, scope, job.ramLength);
    loadImage(ram, job.image, arch.ramBase);
    const params = encodeParams({
      stage1: job.stage1,
      windows: job.windows.map(({ gpa, mapping }) => ({ gpa, length: mapping.length })),
      cellCount: job.cells.length,
    });
    ram.bytes.set(params, ABI.paramsOffset);
    ram.bytes.set(encodeCells(job.cells), ABI.cellsOffset);
    job.onRam?.(ram);
    machine.addMemslot(arch.ramBase, ram.mapping);
    for (const { gpa, mapping, access } of job.windows) if (access === 'mapped') machine.addMemslot(gpa, mapping);
    const trapped = job.windows.filter(({ access }) => access === 'trapped');
    const vcpu = addVcpu(port, scope, machine, arch, job.image.entry);
    const { timeoutMs, onConsole, signal } = job;
    const stage2 = await arch.watchStage2(port, scope, { debugName: machine.debugName, vcpuThread: await thread.id() });
    const run = await thread.run(port, vcpu, {
      doorbell: arch.doorbell,
      exchanges: exchangesOf(job),
      trapped: trapped.map(({ gpa, mapping }) => ({ gpa, ...mapping })),
      cells: { count: job.cells.length, underWay: ram.mapping.address + BigInt(ABI.logOffset + LOG_AT.running) },
      timeoutMs,
      ...(onConsole && { onConsole }),
      ...(signal && { signal }),
    });
    const exitsOf = (window: GuestWindow): number => run.trappedExits[trapped.indexOf(window)] ?? 0;
    return {
      ...run,
      busLocks: exits.busLocks ? run.busLocks : null,
      windowExits: job.windows.map(exitsOf),
      log: copyLog(ram),
      stage2: stage2.read(),
    };
  } finally {
    scope.close();
  }
}

function machineFor(port: Port, scope: Scope, { mte = false }: GuestJob): Machine {
  try {
    return createMachine(port, scope, { mte });
  } catch (error) {
    if (mte && isErrno(error, 'EINVAL'))
      throw new WcvmmError('E_NO_KVM', 'this KVM gives guests no MTE (KVM_CAP_ARM_MTE).', { cause: error });
    throw error;
  }
}

const DIRECTION: Readonly<Partial<Record<ProbeName, Exchange['direction']>>> = {
  'data-read': 'host-writes',
  'data-write': 'host-reads',
  'fence-visibility': 'host-reads',
};

/** The host's half of each cell that has one. */
function exchangesOf({ cells, windows }: GuestJob): readonly Exchange[] {
  return cells.flatMap(({ probe, window, offset, argument }, cell): Exchange[] => {
    const mapping = windows[window]?.mapping;
    const direction = DIRECTION[probe];
    if (mapping === undefined || direction === undefined) return [];
    return [{ cell, direction, address: mapping.address + offset, seed: argument }];
  });
}
