/**
 * The VMM on this machine's own KVM, scenario by scenario: what it does for guests that are a few instructions long. Prints
 * what each saw, as JSON, for a test to look at.
 */
import { setImmediate } from 'node:timers/promises';
import { AsyncScope } from '../../common/scope.ts';
import { RingReader, newRing } from '../../vmm/devices/console-ring.ts';
import { doorbellAt } from '../../vmm/devices/doorbell.ts';
import { moduleBeside } from '../../vmm/bus/shared.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { MainThreadRunner } from '../../vmm/kvm/main-thread-runner.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import type { VcpusRun } from '../../vmm/kvm/run-vcpus.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import type { Vcpu } from '../../vmm/kvm/vcpu.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE, libcPort as port } from '../../vmm/sys/libc.ts';
import { COUNTER, FLAG, GUESTS } from './machine-code.ts';

const arch = requireArchitecture();
const RAM = BARE_MAP.ramBase;
const FAR = 0x8000_0000n;
const PAGE = 65_536n;

/** A VM with two regions of RAM, and what it takes to run guests in it. */
function machineIn(scope: AsyncScope) {
  const inner = scope.inner();
  const vm = createVm(port, inner);
  const ranges = [
    { gpa: RAM, length: PAGE },
    { gpa: FAR, length: PAGE },
  ];
  const ram = allocateRam(port, inner, ranges);
  addRam(vm.slots, ram);
  const vcpu = (id: number, code: Uint8Array, argument: bigint): Vcpu => {
    const entry = RAM + 0x1000n * BigInt(id + 1);
    ram.write(entry, code);
    const made = addVcpu(port, inner, vm, id);
    arch.initBareVcpu(port, vm, made.fd, { entry, argument });
    return made;
  };
  const word = (offset: number): Uint32Array => new Uint32Array(ram.view(RAM + BigInt(offset), 4).buffer);
  return { vm, inner, ram, vcpu, word };
}

function threadIn(scope: AsyncScope): VcpuThread {
  const thread = new VcpuThread();
  scope.defer(() => thread.close());
  return thread;
}

async function withConsole(
  run: (devices: ReturnType<typeof doorbellAt>[]) => Promise<VcpusRun>,
): Promise<{ text: string; exit: VcpusRun['exit'] }> {
  const ring = newRing();
  let text = '';
  const reader = new RingReader(ring, (bytes) => void (text += Buffer.from(bytes).toString('latin1')));
  const { exit } = await run([doorbellAt(Number(BARE_MAP.doorbell), ring)]);
  await reader.end();
  return { text, exit };
}

const scenarios: Readonly<Record<string, (scope: AsyncScope) => Promise<unknown>>> = {
  /** One spins, the other ends the run. */
  twoVcpus: (scope) => {
    const { vcpu } = machineIn(scope);
    const vcpus = [
      { vcpu: vcpu(0, GUESTS.printAndSpin, 0x41n), thread: threadIn(scope) },
      { vcpu: vcpu(1, GUESTS.waitPrintExit, 0x42n), thread: threadIn(scope) },
    ];
    return withConsole((devices) => runVcpus(port, { vcpus, devices, timeoutMs: 60_000 }));
  },

  /** Stopped while it counts, and run again: it goes on from where it was. */
  goesOn: async (scope) => {
    const { vcpu, word } = machineIn(scope);
    const thread = threadIn(scope);
    const [counter, flag] = [word(COUNTER), word(FLAG)];
    const guest = vcpu(0, GUESTS.count, 0n);
    const ring = newRing();
    const devices = [doorbellAt(Number(BARE_MAP.doorbell), ring)];
    const counted: number[] = [];
    await thread.id();
    for (let round = 0; round < 20; round += 1) {
      const before = Atomics.load(counter, 0);
      const running = thread.run(port, guest, { devices });
      while (Atomics.load(counter, 0) === before) await setImmediate();
      thread.kick();
      const { exit } = await running;
      if (exit.kind !== 'interrupted') return { round, exit };
      counted.push(Atomics.load(counter, 0));
    }
    Atomics.store(flag, 0, 1);
    const { exit } = await thread.run(port, guest, { devices });
    return { exit, grew: counted.every((count, index) => index === 0 || count > (counted[index - 1] ?? 0)) };
  },

  /** A window that moves, and then goes; and RAM in another region. */
  slots: async (scope) => {
    const { vm, inner, ram, vcpu } = machineIn(scope);
    const thread = threadIn(scope);
    const fd = port.memfd('window', PAGE);
    inner.defer(() => port.close(fd));
    const address = port.mmap({ length: PAGE, protection: PROT_READ | PROT_WRITE, flags: MAP_SHARED, fd, offset: 0n });
    inner.defer(() => port.munmap(address, PAGE));
    new Uint8Array(port.view(address, 1))[0] = 0x77;
    ram.write(FAR, Uint8Array.of(0x66));
    let next = 0;
    const load = async (gpa: bigint): Promise<string> => {
      // KVM lets nobody give a vCPU that has run another CPUID, so each load is a vCPU's own.
      const guest = vcpu(next++, GUESTS.loadAndPrint, gpa);
      const { text, exit } = await withConsole((devices) =>
        runVcpus(port, { vcpus: [{ vcpu: guest, thread }], devices, timeoutMs: 60_000 }),
      );
      return `${exit.kind} ${text}`;
    };
    const [first, second] = [0x9000_0000n, 0xa000_0000n];
    const slot = vm.slots.add(first, { address, length: PAGE });
    const seen = {
      far: await load(FAR),
      first: await load(first),
      second: await load(second),
      moved: '',
      left: '',
      gone: '',
    };
    slot.move(second);
    seen.moved = await load(second);
    seen.left = await load(first);
    slot.remove();
    slot.remove();
    seen.gone = await load(second);
    const again = vm.slots.add(first, { address, length: PAGE });
    return { ...seen, again: await load(first), sameSlot: again.slot === slot.slot };
  },

  /** A guest that writes for ever, and a reader that takes nothing: the ring is all the memory that it gets. */
  flood: async (scope) => {
    const { vcpu } = machineIn(scope);
    const vcpus = [{ vcpu: vcpu(0, GUESTS.flood, 0x2en), thread: threadIn(scope) }];
    const ring = newRing();
    let taken = 0;
    const reader = new RingReader(ring, (bytes) => {
      taken += bytes.length;
      return new Promise(() => {});
    });
    const devices = [doorbellAt(Number(BARE_MAP.doorbell), ring)];
    const words = new Int32Array(ring, 0, 4);
    const controller = new AbortController();
    const running = runVcpus(port, { vcpus, devices, timeoutMs: 60_000, signal: controller.signal }).catch(codeOf);
    while (Atomics.load(words, 1) < ring.byteLength - 16) await setImmediate();
    controller.abort();
    const code = await running;
    reader.abandon();
    return { code, taken: taken > 0, written: Atomics.load(words, 1), room: ring.byteLength - 16 };
  },

  /** On the main thread: stopped by what has its turn between two slices, and run again. */
  goesOnHere: async (scope) => {
    const { vcpu, word } = machineIn(scope);
    const thread = new MainThreadRunner();
    const [counter, flag] = [word(COUNTER), word(FLAG)];
    const guest = vcpu(0, GUESTS.count, 0n);
    const devices = [doorbellAt(Number(BARE_MAP.doorbell), newRing())];
    const counted: number[] = [0];
    for (let round = 0; round < 3; round += 1) {
      const running = thread.run(port, guest, { devices });
      const second = await thread.run(port, guest, { devices }).catch(String);
      // At least one slice, and the turn of what comes between two.
      await setImmediate();
      await setImmediate();
      thread.kick();
      const { exit } = await running;
      if (exit.kind !== 'interrupted' || typeof second !== 'string') return { round, exit, second };
      counted.push(Atomics.load(counter, 0));
    }
    Atomics.store(flag, 0, 1);
    const { exit } = await thread.run(port, guest, { devices });
    return { exit, grew: counted.every((count, index) => index === 0 || count > (counted[index - 1] ?? 0)) };
  },

  /** On the main thread: a guest that writes for ever waits, also for a reader that never comes back, and can be stopped meanwhile. */
  floodHere: async (scope) => {
    const { vcpu } = machineIn(scope);
    const vcpus = [{ vcpu: vcpu(0, GUESTS.flood, 0x2en), thread: new MainThreadRunner() }];
    const ring = newRing();
    const controller = new AbortController();
    const reader = new RingReader(ring, () => new Promise(() => {}));
    const devices = [doorbellAt(Number(BARE_MAP.doorbell), ring)];
    const [words, room] = [new Int32Array(ring, 0, 4), ring.byteLength - 16];
    let pauses = 0;
    const onPause = (): Promise<void> => {
      pauses += 1;
      const waits = Atomics.load(words, 1) > room / 2;
      if (waits) setTimeout(() => controller.abort());
      return reader.room();
    };
    const running = runVcpus(port, { vcpus, devices, timeoutMs: 60_000, signal: controller.signal, onPause });
    const code = await running.then(() => 'ended', codeOf);
    reader.abandon();
    const written = Atomics.load(words, 1);
    return { code, hasPaused: pauses > 1, hasWaited: written > room / 2, fits: written <= room };
  },

  /** On the main thread: a guest that never ends, and a device that fails. */
  endsHere: async (scope) => {
    const { vcpu } = machineIn(scope);
    const thread = new MainThreadRunner();
    const run = (id: number, code: Uint8Array, device: ReturnType<typeof doorbellAt>): Promise<string> => {
      const vcpus = [{ vcpu: vcpu(id, code, 0n), thread }];
      return runVcpus(port, { vcpus, devices: [device], timeoutMs: 100 }).then(() => 'ended', codeOf);
    };
    const doorbell = doorbellAt(Number(BARE_MAP.doorbell), newRing());
    const broken = { ...doorbell, module: moduleBeside(import.meta.url, 'devices/broken'), options: 'throws' };
    return [await run(0, GUESTS.count, doorbell), await run(1, GUESTS.flood, broken)];
  },

  /** A thread that dies in the middle of a run, and one whose device fails: each ends the run at once. */
  brokenDevices: async (scope) => {
    const seen: unknown[] = [];
    for (const [id, options] of ['throws', 'ends the thread'].entries()) {
      const { vcpu } = machineIn(scope);
      const thread = new VcpuThread();
      const module = moduleBeside(import.meta.url, 'devices/broken');
      const device = { space: 'mmio', base: Number(BARE_MAP.doorbell), size: 16, module, options } as const;
      const vcpus = [{ vcpu: vcpu(id, GUESTS.flood, 0n), thread }];
      const first = await runVcpus(port, { vcpus, devices: [device], timeoutMs: null }).catch(codeOf);
      const second = await runVcpus(port, { vcpus, devices: [device], timeoutMs: null }).catch(codeOf);
      thread.kick();
      await thread.close();
      seen.push([first, second]);
    }
    return seen;
  },
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

const results: Record<string, unknown> = {};
for (const [name, run] of Object.entries(scenarios)) {
  const scope = new AsyncScope();
  try {
    results[name] = await run(scope);
  } finally {
    await scope.close();
  }
}
process.stdout.write(
  `${JSON.stringify(results, (_key, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}\n`,
);
