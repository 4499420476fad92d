/** Enters the guest again and again, and does for it what its exits ask for, until one of them is the last. */
import { DOORBELL } from '../../tool/verify/guest/abi.ts';
import { KVM_EXIT, KVM_RUN, KVM_RUN_LAYOUT, KVM_RUN_X86_BUS_LOCK } from '../sys/kvm.ts';
import { ERRNO, SysError } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { exchange } from '../../tool/verify/guest/exchange.ts';
import { readLastExit } from './exits.ts';
import { TrappedWindows } from '../devices/trapped.ts';
import type { BusLocks, HostCheck, RunRequest, VcpuExit, VcpuRun } from './vcpu-protocol.ts';

const PAGE = 4096n;
/** A guest that never ends its lines must not fill the host's memory. */
const LONGEST_LINE = 1024;

export function runVcpu(port: Port, request: RunRequest, onConsole: (text: string) => void): VcpuRun {
  const vcpu = new RunningVcpu(port, request, onConsole);
  const exit = vcpu.run();
  return { exit, hostChecks: vcpu.hostChecks, busLocks: vcpu.busLocks(), trappedExits: vcpu.trapped.exits };
}

class RunningVcpu {
  readonly hostChecks: HostCheck[] = [];
  readonly trapped: TrappedWindows;
  readonly #port: Port;
  readonly #request: RunRequest;
  readonly #onConsole: (text: string) => void;
  readonly #state: DataView;
  readonly #data: DataView;
  readonly #underWay: Uint32Array;
  /** By what the guest's log said at the time: a cell's index + 1. */
  readonly #busLocks = new Map<number, number>();
  #line = '';

  constructor(port: Port, request: RunRequest, onConsole: (text: string) => void) {
    this.#port = port;
    this.#request = request;
    this.#onConsole = onConsole;
    this.#state = new DataView(port.view(request.runAddress, request.runLength));
    this.trapped = new TrappedWindows(port, request.trapped);
    this.#data = new DataView(this.#state.buffer, KVM_RUN_LAYOUT.mmio.data, 8);
    this.#underWay = new Uint32Array(port.view(request.cells.underWay, 4));
  }

  run(): VcpuExit {
    let exit: VcpuExit | null = null;
    while (exit === null) exit = this.#enter() ?? this.#serve();
    this.#flush();
    return exit;
  }

  busLocks(): readonly BusLocks[] {
    return [...this.#busLocks].map(([underWay, count]) => ({ cell: underWay === 0 ? null : underWay - 1, count }));
  }

  /** One KVM_RUN; null unless it failed for good. */
  #enter(): VcpuExit | null {
    for (;;) {
      try {
        this.#port.ioctl(this.#request.vcpu, KVM_RUN, 0);
        return null;
      } catch (error) {
        const errno = error instanceof SysError ? error.errno : ERRNO.EIO;
        if (errno !== ERRNO.EINTR) return { kind: 'killed', errno };
        // Any signal of the process can end up on this thread; only the one that set the flag means to stop the guest.
        if (this.#state.getUint8(KVM_RUN_LAYOUT.immediateExit) !== 0) return { kind: 'interrupted' };
      }
    }
  }

  /** What the exit asks for; null when the guest can go on. */
  #serve(): VcpuExit | null {
    const reason = this.#state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
    const isBusLock =
      reason === KVM_EXIT.x86BusLock ||
      (this.#state.getUint16(KVM_RUN_LAYOUT.flags, true) & KVM_RUN_X86_BUS_LOCK) !== 0;
    if (isBusLock) this.#countBusLock();
    switch (reason) {
      case KVM_EXIT.mmio:
        return this.#serveAccess();
      case KVM_EXIT.x86BusLock:
        return null;
      default:
        return readLastExit(this.#state, (address) => this.trapped.has(address));
    }
  }

  #serveAccess(): VcpuExit | null {
    const { mmio } = KVM_RUN_LAYOUT;
    const { doorbell } = this.#request;
    const address = this.#state.getBigUint64(mmio.address, true);
    const isWrite = this.#state.getUint8(mmio.isWrite) !== 0;
    if (isWrite && address >= doorbell && address < doorbell + PAGE)
      return this.#ring(Number(address - doorbell), this.#data.getUint32(0, true));
    const length = this.#state.getUint32(mmio.length, true);
    const served = this.trapped.serve({ address, length, isWrite, data: this.#data });
    if (served === 'served') return null;
    return { kind: served === 'leaves' ? 'leaves-window' : 'unmapped', address, isWrite, length };
  }

  #ring(register: number, value: number): VcpuExit | null {
    switch (register) {
      case DOORBELL.exit:
        return { kind: 'done', status: value };
      case DOORBELL.putchar:
        this.#line += String.fromCodePoint(value & 0xff);
        if (this.#line.endsWith('\n') || this.#line.length >= LONGEST_LINE) this.#flush();
        return null;
      case DOORBELL.sync: {
        const check = exchange(this.#port, this.#request.exchanges, value);
        if (check !== null) this.hostChecks.push(check);
      }
    }
    return null;
  }

  #flush(): void {
    if (this.#line !== '') this.#onConsole(this.#line);
    this.#line = '';
  }

  /** A guest that makes up cells can make no more of them than one can be asked about. */
  #countBusLock(): void {
    const said = this.#underWay[0] ?? 0;
    const underWay = said <= this.#request.cells.count ? said : 0;
    this.#busLocks.set(underWay, (this.#busLocks.get(underWay) ?? 0) + 1);
  }
}
