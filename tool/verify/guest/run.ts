/** One run of a bare guest that is asked cells: its records, and what KVM programmed for it. */
import type { ProbeName } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { ElfImage } from '../../../vmm/boot/elf.ts';
import type { TakeOutput } from '../../../vmm/devices/console-ring.ts';
import type { KvmArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import type { VcpuExit } from '../../../vmm/kvm/exits.ts';
import type { VcpuRunner } from '../../../vmm/kvm/vcpu-runner.ts';
import { Scope } from '../../../common/scope.ts';
import type { MemoryFault } from '../../../vmm/kvm/exits.ts';
import { BARE_MAP, runBare } from '../../../vmm/machines/bare.ts';
import type { StartedVm } from '../../../vmm/machines/bare.ts';
import { traceFault } from '../read-back/fault-trace.ts';
import type { GuestWindow } from '../../../vmm/memory/guest-window.ts';
import type { GuestRam } from '../../../vmm/memory/ram.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { Stage2Dump } from '../read-back/stage2.ts';
import { watchStage2 } from '../read-back/watch.ts';
import { ABI, LOG_AT, SIZE_OF, encodeCells, encodeParams } from './abi.ts';
import type { Cell } from './abi.ts';
import { exchangeDevice } from './exchange.ts';
import type { Exchange, HostCheck, Translation } from './exchange.ts';

export interface GuestRequest {
  readonly image: ElfImage;
  readonly windows: readonly GuestWindow[];
  /** Encodings of the stage-1 types that the cells name. */
  readonly stage1: readonly number[];
  readonly cells: readonly Cell[];
  readonly mte?: boolean;
  /** arm64: have KVM translate what stage1-self-check has mapped. */
  readonly translates?: boolean;
  /** Bytes; at least the ABI's. */
  readonly ramLength?: bigint;
  readonly timeoutMs: number;
  readonly onConsole?: TakeOutput;
  readonly signal?: AbortSignal;
  /** Called with guest RAM before the first entry, to map it for a device's DMA. */
  readonly onRam?: (ram: GuestRam) => void;
  /** Find out where the access was, if one ends the VM. */
  readonly findsFault?: boolean;
}

/** Bus locks that KVM reported while the guest's log said that the cell was running; null: none was. */
export interface CellBusLocks {
  readonly cell: number | null;
  readonly count: number;
}

export interface GuestRun {
  readonly exit: VcpuExit;
  readonly hostChecks: readonly HostCheck[];
  readonly translations: readonly Translation[];
  /** Accesses that were exits, by window; 0 for one that is mapped. */
  readonly windowExits: readonly number[];
  /** null: this KVM does not report them. */
  readonly busLocks: readonly CellBusLocks[] | null;
  /** The log's bytes, not looked at yet. */
  readonly log: Uint8Array;
  readonly stage2: Stage2Dump;
}

/** Throws E_USAGE for RAM that the ABI does not allow, E_NO_KVM for `mte` where KVM has none, and as runBare does. */
export async function runGuest(
  port: Port,
  arch: KvmArchitecture,
  thread: VcpuRunner,
  request: GuestRequest,
): Promise<GuestRun> {
  const { image, windows, cells, timeoutMs, signal, onConsole, mte = false, ramLength = BigInt(ABI.ramSize) } = request;
  const exchange = exchangeDevice(exchangesOf(request));
  const logAt = BARE_MAP.ramBase + BigInt(ABI.logOffset);
  let traced: MemoryFault | null = null;
  const machine = {
    port,
    arch,
    thread,
    image,
    ramLength,
    windows,
    mte,
    devices: [exchange.device],
    // What the log says is the cell under way + 1, or 0.
    busLockLabel: { gpa: logAt + BigInt(LOG_AT.running), most: cells.length },
    timeoutMs,
    onRam: (ram: GuestRam) => prepare(ram, request),
    ...(request.findsFault === true && {
      onKilled: async ({ vcpuThread }: StartedVm, again: () => Promise<unknown>) => {
        const scope = new Scope();
        try {
          traced = await traceFault(port, scope, arch.name, vcpuThread, again);
        } finally {
          scope.close();
        }
      },
    }),
    ...(signal && { signal }),
    ...(onConsole && { onConsole }),
  };
  const run = await mteRefused(mte, () =>
    runBare(machine, async (scope, vm) => {
      const stage2 = await watchStage2(arch.name, port, scope, {
        debugName: vm.debugName,
        vcpuThread: vm.vcpuThread,
        pages: cells.length,
      });
      // A copy, taken once: what was checked must be what is used.
      return (ram) => ({ stage2: stage2.read(), log: ram.read(logAt, SIZE_OF.log) });
    }),
  );
  const busLocks =
    run.busLocks && run.busLocks.map(({ label, count }) => ({ cell: label === 0 ? null : label - 1, count }));
  return {
    exit: run.exit.kind === 'killed' ? { ...run.exit, fault: run.exit.fault ?? traced } : run.exit,
    windowExits: run.windowExits,
    busLocks,
    hostChecks: exchange.checks(),
    translations: exchange.translations(),
    ...run.seen,
  };
}

function prepare(ram: GuestRam, { windows, stage1, cells, onRam }: GuestRequest): void {
  const params = encodeParams({
    stage1,
    windows: windows.map(({ gpa, mapping }) => ({ gpa, length: mapping.length })),
    cellCount: cells.length,
  });
  ram.write(BARE_MAP.ramBase + BigInt(ABI.paramsOffset), params);
  ram.write(BARE_MAP.ramBase + BigInt(ABI.cellsOffset), encodeCells(cells));
  onRam?.(ram);
}

async function mteRefused<T>(mte: boolean, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!mte || !isErrno(error, 'EINVAL')) throw error;
    throw new WcvmmError('E_NO_KVM', 'this KVM gives guests no MTE (KVM_CAP_ARM_MTE).', { cause: error });
  }
}

/** What the host does when the guest rings; null: the probe does not ring. */
const DIRECTION: Readonly<Record<ProbeName, Exchange['direction'] | null>> = {
  'stage1-self-check': 'host-translates',
  'unaligned-load': null,
  'unaligned-store': null,
  'unaligned-load-simd': null,
  'unaligned-store-simd': null,
  'unaligned-load-pair': null,
  'unaligned-store-pair': null,
  'simd-half-aligned': null,
  'zero-block': null,
  exclusive: null,
  atomic: null,
  fetch: null,
  'data-read': 'host-writes',
  'data-write': 'host-reads',
  'tag-retention': null,
  'store-bandwidth': null,
  'load-latency': null,
  'nt-store': null,
  'nt-load': null,
  'direct-store': null,
  'cache-flush': null,
  'fence-visibility': 'host-reads',
  'locked-access': null,
  'timing-class': null,
};

/** The host's half of each cell that has one. */
function exchangesOf({ cells, windows, translates = false }: GuestRequest): readonly Exchange[] {
  return cells.flatMap(({ probe, window, offset, argument, registers }, cell): Exchange[] => {
    const [touched, direction] = [windows[window], DIRECTION[probe]];
    if (touched === undefined || direction === null) return [];
    // The arm64 guest's stage 1 maps every address to itself.
    if (direction === 'host-translates')
      return translates ? [{ cell, direction, address: touched.gpa + offset, seed: 0n }] : [];
    if (registers === true) return [];
    return [{ cell, direction, address: touched.mapping.address + offset, seed: argument }];
  });
}
