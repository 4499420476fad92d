/**
 * A guest of this machine's own KVM, x86, which finds a device on the PCI bus, moves its BAR, and loads from it. The handlers run
 * in a vCPU's thread and the memslots are KVM's; the device is made up, and its BAR is ordinary memory. Prints what the guest
 * loaded, as JSON.
 */
import { AsyncScope } from '../../common/scope.ts';
import { newRing } from '../../vmm/devices/console-ring.ts';
import { doorbellAt } from '../../vmm/devices/doorbell.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { libcPort, pageSize } from '../../vmm/sys/libc.ts';
import { LOW, openHostOnMemory } from '../fake-pci.ts';

const RAM = BARE_MAP.ramBase;
const RESULTS = 0x2000;
const ECAM = 0x3000_0000;
const DEVICE = ECAM + (8 << 12);
const MOVED = LOW.base + 0x80_0000;
/** Words of the BAR's memory: their own offsets, and a mark. */
const MARK = 0x5000_0000;

const code: number[] = [];
let results = 0;

function le32(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

function store(address: number, value: number): void {
  code.push(0xc7, 0x05, ...le32(address), ...le32(value)); // mov dword [address], value
}

function keepEax(): void {
  code.push(0xa3, ...le32(Number(RAM) + RESULTS + 4 * results)); // mov [result], eax
  results += 1;
}

function load(address: number): void {
  code.push(0xa1, ...le32(address)); // mov eax, [address]
  keepEax();
}

/** By the ports. */
function loadConfig(address: number): void {
  code.push(0x66, 0xba, 0xf8, 0x0c); // mov dx, 0xcf8
  code.push(0xb8, ...le32(address), 0xef); // mov eax, address; out dx, eax
  code.push(0x66, 0xba, 0xfc, 0x0c, 0xed); // mov dx, 0xcfc; in eax, dx
  keepEax();
}

loadConfig(0x8000_0000);
load(DEVICE);
load(DEVICE + 0x10);
load(LOW.base + 0x1004); // decoding is off
store(DEVICE + 4, 2);
load(LOW.base + 0x1004); // a register
store(LOW.base + 0x2000, 0x1234); // the MSI-X table
load(LOW.base + 0x2000);
store(DEVICE + 0x10, MOVED);
load(LOW.base + 0x1004);
load(MOVED + 0x1008);
store(MOVED + 0x10, 0xabcd); // a register
store(DEVICE + 4, 0);
load(MOVED + 0x1008);
store(Number(BARE_MAP.doorbell) + 8, 0);

const arch = requireArchitecture();
const scope = new AsyncScope();
const inner = scope.inner();
const vm = createVm(libcPort, inner);
const ram = allocateRam(libcPort, inner, [{ gpa: RAM, length: 65_536n }]);
ram.write(RAM + 0x1000n, Uint8Array.from(code));
addRam(vm.slots, ram);
const vcpu = addVcpu(libcPort, inner, vm);
arch.initBareVcpu(libcPort, vm, vcpu.fd, { entry: RAM + 0x1000n, argument: 0n });
const { host, memory } = openHostOnMemory(libcPort, inner, vm, pageSize());
libcPort.pwrite(memory, new Uint8Array(Uint32Array.from({ length: 0x1000 }, (_, word) => MARK + word * 4).buffer), 0n);
const thread = new VcpuThread();
scope.defer(() => thread.close());
const { exit } = await runVcpus(libcPort, {
  vcpus: [{ vcpu, thread }],
  devices: [doorbellAt(Number(BARE_MAP.doorbell), newRing()), ...host.descriptions(ECAM, true)],
  timeoutMs: 20_000,
});
const words = [...new Uint32Array(ram.view(RAM + BigInt(RESULTS), results * 4).slice().buffer)];
const exits = host.exits();
const stored = new Uint8Array(4);
libcPort.pread(memory, stored, 0x10n);
await scope.close();
process.stdout.write(
  `${JSON.stringify({ exit: exit.kind, loaded: words.map((word) => word.toString(16)), exits, stored: [...stored] })}\n`,
);
