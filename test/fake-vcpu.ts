import { KVM_EXIT, KVM_RUN, KVM_RUN_LAYOUT } from '../vmm/sys/kvm.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { runVcpu } from '../vmm/kvm/vcpu-loop.ts';
import type { RunRequest, VcpuRun } from '../vmm/kvm/vcpu-protocol.ts';
import { stubPort } from './stub-port.ts';

export const DOORBELL_GPA = 0x0900_0000n;
const RUN = 0x7000_0000_0000n;
const UNDER_WAY = 0x7100_0000_0000n;

/** What one KVM_RUN comes back with: an error, or an exit, which is written into struct kvm_run. */
export type Entry = ErrnoName | Exit;
export type Exit = (state: DataView, vcpu: FakeVcpu) => void;

export interface FakeVcpu {
  /** Host memory by address: what the code under test looks at. */
  readonly memory: Map<bigint, ArrayBuffer>;
  /** What the guest's log says. */
  setUnderWay(cell: number | null): void;
}

export interface FakeRun extends VcpuRun {
  readonly console: string;
  /** Entries into the guest. */
  readonly entries: number;
  /** What the loads that the loop answered gave the guest. */
  readonly loaded: readonly bigint[];
}

/** Runs the vCPU loop on a KVM that plays `entries`; the loop must end by the last of them. */
export function playVcpu(
  entries: readonly Entry[],
  change: Partial<RunRequest> = {},
  memory: Map<bigint, ArrayBuffer> = new Map(),
): FakeRun {
  const state = new ArrayBuffer(4096);
  const loaded: bigint[] = [];
  const underWay = new ArrayBuffer(4);
  memory.set(RUN, state).set(UNDER_WAY, underWay);
  let entered = 0;
  let console = '';
  let loading = false;
  const fake: FakeVcpu = {
    memory,
    setUnderWay: (cell) => void (new Uint32Array(underWay)[0] = cell === null ? 0 : cell + 1),
  };
  const port: Port = {
    ...stubPort({}).port,
    view: (address, length) => viewOf(memory, address, length),
    ioctl(_fd, request) {
      if (request !== KVM_RUN) throw new SysError('ioctl', ERRNO.ENOTTY);
      const entry = entries[entered++];
      if (entry === undefined) throw new Error('the loop went on after the last exit');
      if (typeof entry === 'string') throw new SysError('ioctl KVM_RUN', ERRNO[entry]);
      if (loading) loaded.push(new DataView(state).getBigUint64(KVM_RUN_LAYOUT.mmio.data, true));
      new Uint8Array(state).fill(0);
      entry(new DataView(state), fake);
      loading = isLoad(new DataView(state));
      return 0;
    },
  };
  const request: RunRequest = {
    vcpu: 9,
    runAddress: RUN,
    runLength: 4096,
    doorbell: DOORBELL_GPA,
    exchanges: [],
    trapped: [],
    cells: { count: 8, underWay: UNDER_WAY },
    ...change,
  };
  const run = runVcpu(port, request, (text) => void (console += text));
  return { ...run, console, entries: entered, loaded };
}

function isLoad(state: DataView): boolean {
  return (
    state.getUint32(KVM_RUN_LAYOUT.exitReason, true) === KVM_EXIT.mmio &&
    state.getUint8(KVM_RUN_LAYOUT.mmio.isWrite) === 0
  );
}

/** As the real port: the memory itself, from any address inside of it. */
function viewOf(memory: ReadonlyMap<bigint, ArrayBuffer>, address: bigint, length: number): ArrayBuffer {
  const found = memory.get(address);
  if (found === undefined || found.byteLength < length)
    throw new Error(`nothing is mapped at 0x${address.toString(16)}+${length}`);
  return found;
}

export function exitFor(reason: number, fill: (state: DataView) => void = () => {}): Exit {
  return (state) => {
    state.setUint32(KVM_RUN_LAYOUT.exitReason, reason, true);
    fill(state);
  };
}

/** KVM_EXIT_MMIO for a store of `value`, or with null for a load. */
export function access(address: bigint, length: number, value: bigint | null): Exit {
  return exitFor(KVM_EXIT.mmio, (state) => {
    const { mmio } = KVM_RUN_LAYOUT;
    state.setBigUint64(mmio.address, address, true);
    state.setUint32(mmio.length, length, true);
    state.setUint8(mmio.isWrite, value === null ? 0 : 1);
    state.setBigUint64(mmio.data, value ?? 0n, true);
  });
}

/** The guest is done. */
export const DONE: Exit = access(DOORBELL_GPA + 8n, 4, 0n);
