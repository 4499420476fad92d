import { Bus } from '../vmm/bus/bus.ts';
import type { Device, Place } from '../vmm/bus/device.ts';
import { runVcpu } from '../vmm/kvm/vcpu-loop.ts';
import type { VcpuRun } from '../vmm/kvm/vcpu-protocol.ts';
import { KVM_EXIT, KVM_EXIT_IO_OUT, KVM_RUN, KVM_RUN_LAYOUT } from '../vmm/sys/kvm.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

/** Where the fake machine's one device ends a run: a store there, of the status. */
export const END_GPA = 0x0900_0008n;
const LABEL = 0x7100_0000_0000n;

/** What one KVM_RUN comes back with: an error, or an exit, which is written into struct kvm_run. */
export type Entry = ErrnoName | Exit;
export type Exit = (state: DataView, vcpu: FakeVcpu) => void;

export interface FakeVcpu {
  /** The word in guest memory by which bus locks are counted. */
  setLabel(value: number): void;
}

export interface FakeRun extends VcpuRun {
  /** Entries into the guest. */
  readonly entries: number;
  /** What the loads that the loop answered gave the guest. */
  readonly loaded: readonly bigint[];
}

export interface FakeMachine {
  readonly mmio?: readonly (Place & { readonly device: Device })[];
  readonly pio?: readonly (Place & { readonly device: Device })[];
  /** The largest label. */
  readonly mostLabel?: number;
}

const END: Place & { readonly device: Device } = {
  space: 'mmio',
  base: Number(END_GPA),
  size: 4,
  device: { write: (_offset, _length, data) => ({ kind: 'done', status: data.getUint32(0, true) }) },
};

/** Runs the vCPU loop on a KVM that plays `entries`; the loop must end by the last of them. */
export function playVcpu(entries: readonly Entry[], { mmio = [], pio = [], mostLabel = 8 }: FakeMachine = {}): FakeRun {
  const state = new DataView(new ArrayBuffer(8192));
  const label = new ArrayBuffer(4);
  const loaded: bigint[] = [];
  let entered = 0;
  let loading: (() => bigint) | null = null;
  const fake: FakeVcpu = { setLabel: (value) => void (new Uint32Array(label)[0] = value) };
  const port: Port = {
    ...stubPort({}).port,
    view: () => label,
    tryIoctl(_fd, request) {
      if (request !== KVM_RUN) return -ERRNO.ENOTTY;
      const entry = entries[entered++];
      if (entry === undefined) throw new Error('the loop went on after the last exit');
      if (typeof entry === 'string') return -ERRNO[entry];
      if (loading !== null) loaded.push(loading());
      new Uint8Array(state.buffer).fill(0);
      entry(state, fake);
      loading = loadedBy(state);
      return 0;
    },
  };
  const request = {
    vcpu: 9,
    runAddress: 0n,
    runLength: 0,
    devices: [],
    unserved: 'exit' as const,
    busLockLabel: { address: LABEL, most: mostLabel },
    busErrors: null,
  };
  const buses = { mmio: new Bus('mmio', [...mmio, END]), pio: new Bus('pio', pio) };
  const run = runVcpu(port, request, state, buses);
  return { ...run, entries: entered, loaded };
}

/** For an exit that is a load: reads what the guest then gets. */
function loadedBy(state: DataView): (() => bigint) | null {
  const { mmio, io } = KVM_RUN_LAYOUT;
  const reason = state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
  if (reason === KVM_EXIT.mmio && state.getUint8(mmio.isWrite) === 0) return () => state.getBigUint64(mmio.data, true);
  if (reason === KVM_EXIT.io && state.getUint8(io.direction) !== KVM_EXIT_IO_OUT)
    return () => state.getBigUint64(IO_DATA, true);
  return null;
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

/** Where KVM puts the data of port I/O: the page behind struct kvm_run. */
const IO_DATA = 4096;

/** KVM_EXIT_IO of elements of `size` bytes: OUT of `values`, or IN of `count`. */
export function portAccess(port: number, size: 1 | 2 | 4, what: readonly number[] | { readonly count: number }): Exit {
  return exitFor(KVM_EXIT.io, (state) => {
    const { io } = KVM_RUN_LAYOUT;
    const values = 'count' in what ? [] : what;
    state.setUint8(io.direction, 'count' in what ? 0 : KVM_EXIT_IO_OUT);
    state.setUint8(io.size, size);
    state.setUint16(io.port, port, true);
    state.setUint32(io.count, 'count' in what ? what.count : values.length, true);
    state.setBigUint64(io.data, BigInt(IO_DATA), true);
    for (const [index, value] of values.entries()) {
      for (let byte = 0; byte < size; byte += 1)
        state.setUint8(IO_DATA + index * size + byte, (value >>> (8 * byte)) & 0xff);
    }
  });
}

/** The guest is done. */
export const DONE: Exit = access(END_GPA, 4, 0n);
