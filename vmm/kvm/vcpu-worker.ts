/**
 * A vCPU's own thread: KVM_RUN blocks, so it cannot live where timers and signals are served. A synchronous ioctl in a
 * worker keeps the full exit rate; koffi's asynchronous calls manage a fifth of it and starve libuv's pool.
 */
import { parentPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { libcPort, threadId } from '../sys/libc.ts';
import { runVcpu } from './vcpu-loop.ts';
import type { FromVcpu, RunRequest } from './vcpu-protocol.ts';

function serve(main: MessagePort): void {
  const send = (message: FromVcpu): void => main.postMessage(message);
  main.on('message', (request: RunRequest) =>
    send({ kind: 'exit', run: runVcpu(libcPort, request, (text) => send({ kind: 'console', text })) }),
  );
  send({ kind: 'ready', thread: threadId() });
}

if (parentPort !== null) serve(parentPort);
