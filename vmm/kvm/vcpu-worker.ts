/**
 * A vCPU's own thread: KVM_RUN blocks, so it cannot live where timers and signals are served. A synchronous ioctl in a
 * worker keeps the full exit rate; koffi's asynchronous calls manage a fifth of it and starve libuv's pool.
 */
import { parentPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { DOORBELL } from '../guest/abi.ts';
import { KVM_EXIT, KVM_RUN, KVM_RUN_LAYOUT } from '../sys/kvm.ts';
import { libcPort, threadId } from '../sys/libc.ts';
import { ERRNO, SysError } from '../sys/port.ts';
import { exchange } from './exchange.ts';
import type { FromVcpu, HostCheck, RunRequest, VcpuExit } from './vcpu-protocol.ts';

const PAGE = 4096n;
/** A guest that never ends its lines must not fill the host's memory. */
const LONGEST_LINE = 1024;

function serve(main: MessagePort): void {
  const send = (message: FromVcpu): void => main.postMessage(message);
  main.on('message', (request: RunRequest) => {
    const hostChecks: HostCheck[] = [];
    const exit = run(request, send, hostChecks);
    send({ kind: 'exit', exit, hostChecks });
  });
  send({ kind: 'ready', thread: threadId() });
}

function run({ vcpu, runAddress, runLength, doorbell, exchanges }: RunRequest, send: (message: FromVcpu) => void, hostChecks: HostCheck[]): VcpuExit {
  const state = new DataView(libcPort.view(runAddress, runLength));
  let line = '';
  const flush = (): void => {
    if (line !== '') send({ kind: 'console', text: line });
    line = '';
  };
  for (;;) {
    try {
      libcPort.ioctl(vcpu, KVM_RUN, 0);
    } catch (error) {
      const errno = error instanceof SysError ? error.errno : ERRNO.EIO;
      // Any signal of the process can end up on this thread; only the one that set the flag means to stop the guest.
      if (errno === ERRNO.EINTR && state.getUint8(KVM_RUN_LAYOUT.immediateExit) === 0) continue;
      flush();
      return errno === ERRNO.EINTR ? { kind: 'interrupted' } : { kind: 'killed', errno };
    }
    const reason = state.getUint32(KVM_RUN_LAYOUT.exitReason, true);
    if (reason !== KVM_EXIT.mmio) {
      flush();
      return { kind: 'unexpected', reason, detail: state.getUint32(KVM_RUN_LAYOUT.internalError.suberror, true) };
    }
    const { mmio } = KVM_RUN_LAYOUT;
    const address = state.getBigUint64(mmio.address, true);
    const isWrite = state.getUint8(mmio.isWrite) !== 0;
    if (!isWrite || address < doorbell || address >= doorbell + PAGE) {
      flush();
      return { kind: 'unmapped', address, isWrite, length: state.getUint32(mmio.length, true) };
    }
    const value = state.getUint32(mmio.data, true);
    const register = Number(address - doorbell);
    if (register === DOORBELL.exit) {
      flush();
      return { kind: 'done', status: value };
    }
    if (register === DOORBELL.putchar) {
      line += String.fromCodePoint(value & 0xff);
      if (line.endsWith('\n') || line.length >= LONGEST_LINE) flush();
    }
    if (register === DOORBELL.sync) {
      const check = exchange(libcPort, exchanges, value);
      if (check !== null) hostChecks.push(check);
    }
  }
}

if (parentPort !== null) serve(parentPort);
