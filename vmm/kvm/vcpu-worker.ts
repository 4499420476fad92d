/**
 * A vCPU's own thread: KVM_RUN blocks, so it cannot live where timers and signals are served. A synchronous ioctl in a
 * worker keeps the full exit rate; koffi's asynchronous calls manage a fifth of it and starve libuv's pool. Not bundled: it shares
 * its modules with the devices that it imports.
 */
import { parentPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { buildBuses, importModules } from '../bus/build.ts';
import { adoptBusErrorTable } from '../sys/bus-error/catch.ts';
import { libcPort, threadId } from '../sys/libc.ts';
import { isStopping, runVcpu } from './vcpu-loop.ts';
import type { FromVcpu, PrepareRequest, RunRequest, VcpuRun } from './vcpu-protocol.ts';

async function run(request: RunRequest): Promise<VcpuRun> {
  adoptBusErrorTable(request.busErrors);
  const state = new DataView(libcPort.view(request.runAddress, request.runLength));
  const buses = await buildBuses(
    { port: libcPort, vcpu: request.vcpu, isStopping: () => isStopping(state) },
    request.devices,
    request.unserved,
  );
  return runVcpu(libcPort, request, state, buses);
}

function serve(main: MessagePort): void {
  const send = (message: FromVcpu): void => main.postMessage(message);
  const fail = (error: unknown): void =>
    send({ kind: 'failed', error: error instanceof Error ? error : new Error(String(error)) });
  main.on('message', (request: RunRequest | PrepareRequest) => {
    if ('prepare' in request) importModules(request.prepare).then(() => send({ kind: 'prepared' }), fail);
    else run(request).then((result) => send({ kind: 'exit', run: result }), fail);
  });
  send({ kind: 'ready', thread: threadId() });
}

if (parentPort !== null) serve(parentPort);
