/**
 * A VMM's process while its guest runs: it tries what a guest that got out would. The main thread, libuv's and the vCPU's own try
 * the same. Argument: `sandbox` or `none`. Prints one line of JSON.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { Socket } from 'node:net';
import { once } from 'node:events';
import { isMainThread } from 'node:worker_threads';
import { scoped } from '../../common/scope.ts';
import type { CreateDevice } from '../../vmm/bus/device.ts';
import { moduleBeside } from '../../vmm/bus/shared.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { enterSandbox } from '../../vmm/sandbox/enter.ts';
import type { Sandbox } from '../../vmm/sandbox/enter.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import { native } from '../../vmm/sys/native.ts';
import { SysError } from '../../vmm/sys/port.ts';
import { GUESTS } from './machine-code.ts';

const FILES = ['/dev/mem', '/etc/shadow', '/etc/passwd', '/proc/1/mem'];
const [AF_INET, SOCK_STREAM, PTRACE_SEIZE] = [2, 1, 0x4206];

/** By name: what the kernel says to each attempt. */
type Attempts = Readonly<Record<string, string>>;

function refusal(attempt: () => void): string {
  try {
    attempt();
    return 'done';
  } catch (error) {
    return error instanceof SysError ? error.errnoName : ((error as NodeJS.ErrnoException).code ?? String(error));
  }
}

/** @param other a process of the same user's, which may be traced */
function attemptsOfThread(other: number): Attempts {
  const { koffi } = native();
  const libc = koffi.load(null);
  const check = (result: number): void => {
    if (result < 0) throw new SysError('attempt', koffi.errno());
  };
  const socket = libc.func('int socket(int family, int type, int protocol)');
  const ptrace = libc.func('long ptrace(int request, int process, void *address, void *data)');
  const fork = libc.func('int system(const char *command)');
  return {
    ...Object.fromEntries(FILES.map((path) => [path, refusal(() => closeSync(openSync(path, 'r')))])),
    'write a file': refusal(() => closeSync(openSync(devNull, 'w'))),
    socket: refusal(() => {
      const fd = socket(AF_INET, SOCK_STREAM, 0) as number;
      check(fd);
      libcPort.close(fd);
    }),
    ptrace: refusal(() => {
      check(ptrace(PTRACE_SEIZE, other, null, null) as number);
    }),
    program: refusal(() => check((fork('true') as number) === 0 ? 0 : -1)),
  };
}

interface Options {
  readonly said: SharedArrayBuffer;
  readonly other: number;
}

/** The device through which the guest has its own thread try. */
export const createDevice: CreateDevice = (_context, options) => {
  const { said, other } = options as Options;
  return {
    write() {
      const text = Buffer.from(JSON.stringify(attemptsOfThread(other)));
      new Uint8Array(said).set(text);
      return { kind: 'done', status: 0 };
    },
  };
};

async function attemptsOfPool(): Promise<Attempts> {
  const found = FILES.map(async (path) => {
    const refused = await open(path).then(
      (file) => file.close().then(() => 'done'),
      (error: NodeJS.ErrnoException) => error.code ?? '',
    );
    return [path, refused] as const;
  });
  const socket = new Socket();
  const failed = once(socket, 'error');
  // Nobody listens there, and nothing may try.
  socket.connect(1, '127.0.0.1');
  const [error] = (await failed) as [NodeJS.ErrnoException];
  return { ...Object.fromEntries(await Promise.all(found)), socket: error.code ?? '' };
}

async function main(sandboxed: boolean): Promise<void> {
  const arch = requireArchitecture();
  await scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const vm = createVm(libcPort, scope);
    const ram = allocateRam(libcPort, scope, [{ gpa: BARE_MAP.ramBase, length: 65_536n }]);
    addRam(vm.slots, ram);
    ram.write(BARE_MAP.ramBase + 0x1000n, GUESTS.printAndSpin);
    const vcpu = addVcpu(libcPort, scope, vm);
    arch.initBareVcpu(libcPort, vm, vcpu.fd, { entry: BARE_MAP.ramBase + 0x1000n, argument: 0x41n });
    const said = new SharedArrayBuffer(4096);
    // It ends with its standard input.
    const other = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    other.unref();
    let sandbox: Sandbox | null = null;
    const port = { ...libcPort, beforeEntry: () => void (sandbox = sandboxed ? enterSandbox() : null) };
    const base = Number(BARE_MAP.doorbell);
    const device = {
      space: 'mmio',
      base,
      size: 16,
      module: moduleBeside(import.meta.url, 'sandboxed'),
      options: { said, other: other.pid ?? 0 },
    } as const;
    await runVcpus(port, { vcpus: [{ vcpu, thread }], devices: [device], timeoutMs: 60_000 });
    const text = Buffer.from(new Uint8Array(said).slice());
    const found = {
      sandbox,
      vcpu: JSON.parse(text.toString('utf8', 0, text.indexOf(0))) as Attempts,
      main: attemptsOfThread(other.pid ?? 0),
      pool: await attemptsOfPool(),
    };
    process.stdout.write(`${JSON.stringify(found)}\n`);
  });
}

// The vCPU's thread imports this file for its device.
if (isMainThread) await main(process.argv[2] === 'sandbox');
