/**
 * Runs inside an x86 testbed: whether a guest gets each interrupt that KVM injects once. A guest of a few instructions waits, KVM is
 * given interrupts for it one by one, and its handler counts them; every other CPU has timers meanwhile.
 * The argument is how many interrupts.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { scoped } from '../../common/scope.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { KVM_EXIT, KVM_RUN, KVM_RUN_LAYOUT, enableCap } from '../../vmm/sys/kvm.ts';
import { KVM_IRQ_CAP, signalMsi } from '../../vmm/sys/kvm-irq.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { tell } from './report.ts';

const KVM_GET_MSRS = 0xc008ae88;
const IA32_TSC = 0x10;

const VECTOR = 0x40;
const LOCAL_APIC = 0xfee0_0000;
const [EOI, SPURIOUS] = [0xb0, 0xf0];
const SOFTWARE_ENABLE = 0x100;

/** Guest-physical. */
const [ENTRY, HANDLER, POINTERS, GDT, IDT, STACK] = [0x1000, 0x1100, 0x2000, 0x2100, 0x3000, 0x8000];
const [DEPTH, WITHIN, COUNT] = [0x4000, 0x4004, 0x4008];
/** Of the handler's loop: some milliseconds in an emulated CPU. */
const ROUNDS = 5_000_000;

function le32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}

function code(...parts: readonly number[][]): readonly number[] {
  return parts.flat();
}

const entry = code(
  [0x0f, 0x01, 0x15, ...le32(POINTERS)], // lgdt
  [0x0f, 0x01, 0x1d, ...le32(POINTERS + 8)], // lidt
  [0xbc, ...le32(STACK)], // mov esp
  [0xc7, 0x05, ...le32(LOCAL_APIC + SPURIOUS), ...le32(SOFTWARE_ENABLE | 0xff)], // mov: enables it
  [0xfb], // sti
  [0xe6, 0x80, 0xeb, 0xfc], // out 0x80, for ever
);
const handler = code(
  [0xff, 0x05, ...le32(DEPTH)], // inc
  [0x83, 0x3d, ...le32(DEPTH), 1], // cmp: is this one within another, although interrupts are off?
  [0x76, 0x06], // jbe
  [0xff, 0x05, ...le32(WITHIN)],
  [0xff, 0x05, ...le32(COUNT)],
  [0x51, 0xb9, ...le32(ROUNDS), 0xe2, 0xfe, 0x59], // push ecx; mov; loop; pop
  [0xff, 0x0d, ...le32(DEPTH)], // dec
  [0xc7, 0x05, ...le32(LOCAL_APIC + EOI), ...le32(0)],
  [0xcf], // iret
);
const pointers = [23, 0, ...le32(GDT), 0, 0, 0xff, 0x07, ...le32(IDT)];
const flat = (access: number): number[] => [0xff, 0xff, 0, 0, 0, access, 0xcf, 0];
const gdt = code(Array<number>(8).fill(0), flat(0x9a), flat(0x92));
const gate = [HANDLER & 0xff, HANDLER >> 8, 8, 0, 0, 0x8e, 0, 0];

/** Timers at moments of their own: those of the scheduler come to all CPUs at once. */
const BUSY = `const word = new Int32Array(new SharedArrayBuffer(4)); for (;;) Atomics.wait(word, 0, 0, 0.3);`;

const most = Number(process.argv[2] ?? '50');
const busy = Array.from({ length: availableParallelism() - 1 }, () => new Worker(BUSY, { eval: true }));
await scoped(async (ends) => {
  const scope = ends.inner();
  for (const worker of busy) ends.defer(async () => void (await worker.terminate()));
  await Promise.all(busy.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
  const vm = createVm(port, scope);
  enableCap(port, vm.vm, KVM_IRQ_CAP.splitIrqchip, 0);
  const ram = allocateRam(port, scope, [{ gpa: 0n, length: 0x10_0000n }]);
  addRam(vm.slots, ram);
  for (const [at, bytes] of [
    [ENTRY, entry],
    [HANDLER, handler],
    [POINTERS, pointers],
    [GDT, gdt],
    [IDT + 8 * VECTOR, gate],
  ] as const)
    ram.write(BigInt(at), Uint8Array.from(bytes));
  const { fd, runAddress, runLength } = addVcpu(port, scope, vm);
  requireArchitecture().initBareVcpu(port, vm, fd, { entry: BigInt(ENTRY), argument: 0n });
  const run = new DataView(port.view(runAddress, runLength));
  const counters = new Uint32Array(ram.view(BigInt(DEPTH), 12).buffer);
  for (let injected = 0; ; injected += 1) {
    while (port.tryIoctl(fd, KVM_RUN, 0) < 0);
    const reason = run.getUint32(KVM_RUN_LAYOUT.exitReason, true);
    if (reason !== KVM_EXIT.io) throw new Error(`exit ${reason} after ${injected} interrupts`);
    if (injected === most) break;
    signalMsi(port, vm.vm, { address: BigInt(LOCAL_APIC), data: VECTOR, deviceId: null });
  }
  const [depth = -1, within = -1, count = -1] = counters;
  tell('injected', most);
  tell('handled', count);
  tell('within another', within);
  tell('depth', depth);
  // KVM's own idea of the guest's, by which it sets timers; it began at 0 with the vCPU.
  const msrs = new DataView(new ArrayBuffer(24));
  msrs.setUint32(0, 1, true);
  msrs.setUint32(8, IA32_TSC, true);
  port.ioctl(fd, KVM_GET_MSRS, new Uint8Array(msrs.buffer));
  tell('time stamp counter runs', msrs.getBigUint64(16, true) > 0n);
});
