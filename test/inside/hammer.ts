/**
 * A guest of this machine's own KVM, x86, that stores to and loads from all of a device's configuration space, by memory and by
 * ports, and its serial port, again and again. Prints how the memory of this process grows meanwhile, as JSON. With the
 * argument "keeps" there are fewer rounds, and one more device, which keeps something of each.
 */
import { readFileSync } from 'node:fs';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { LINUX_ARCHITECTURES } from '../../vmm/machines/linux-arches.ts';
import { LINUX_MAP } from '../../vmm/machines/linux-map.ts';
import { bootLinux } from '../../vmm/machines/linux.ts';
import type { DeviceDescription } from '../../vmm/bus/device.ts';
import { libcPort, pageSize } from '../../vmm/sys/libc.ts';
import { configWith, expressCapability, openHostOnMemory } from '../fake-pci.ts';
import { tinyKernel } from './tiny-kernel.ts';

const { ecam } = LINUX_MAP.x86.pci;
/** Device 1's registers. */
const DEVICE = Number(ecam.gpa) + (8 << 12);
const KEEPS_PORT = 0x700;
const keepsAll = process.argv[2] === 'keeps';
const [FEW, MANY] = keepsAll ? [10_000, 30_000] : [10_000, 170_000];
/** In each round: ECAM twice, the serial port twice, and the address and data ports. */
const ACCESSES = 6;

function le32(value: number): readonly number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

const dx = (port: number): readonly number[] => [0x66, 0xba, port & 0xff, port >> 8];

/** Each round has another value, and goes on to the next word of configuration space. */
function hammer(rounds: number): readonly number[] {
  const round = [
    [0x89, 0xcf, 0x81, 0xe7, ...le32(0xffc)], // mov edi, ecx; and edi, 0xffc
    [0x89, 0x0c, 0x3e], // mov [rsi + rdi], ecx
    [0x8b, 0x04, 0x3e], // mov eax, [rsi + rdi]
    [...dx(0x3f8), 0x88, 0xc8, 0xee], // mov al, cl; out dx, al
    [...dx(0x3fd), 0xec], // in al, dx
    [...dx(0xcf8), 0x89, 0xc8, 0xef], // mov eax, ecx; out dx, eax
    [...dx(0xcfc), 0xed], // in eax, dx
    [...dx(KEEPS_PORT), 0xee], // out dx, al
    [0xff, 0xc9], // dec ecx
  ].flat();
  const back = -(round.length + 6);
  return [0xb9, ...le32(rounds), 0xbe, ...le32(DEVICE), ...round, 0x0f, 0x85, ...le32(back)];
}

/** Bytes; the guest's RAM is in it, and as large each time. */
function anonymous(): number {
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

/** No interrupts: it is VFIO that a vCPU's thread would ask for those, and there is none. */
const device = {
  config: configWith({ bars: [[0, 4]], capabilities: [[0x80, expressCapability(true)]], pin: 0 }),
  bars: { 0: 0x4000 },
};
const keeps: DeviceDescription = {
  space: 'pio',
  base: KEEPS_PORT,
  size: 1,
  module: new URL('./devices/keeps.js', import.meta.url).href,
  options: null,
};

const thread = new VcpuThread();
const grown: number[] = [];
let bytes = 0;
let end = '';
for (const rounds of [FEW, MANY]) {
  let [atStart, atEnd] = [0, 0];
  const last = await bootLinux({
    threads: [thread],
    kernel: LINUX_ARCHITECTURES.x86.parseKernel(tinyKernel('x86', [{ code: hammer(rounds) }, 'power-off'])),
    initrd: null,
    commandLine: '',
    ramLength: 32n << 20n,
    timeoutMs: 300_000,
    attach(scope, vm) {
      const { host } = openHostOnMemory(libcPort, scope, vm, pageSize(), device);
      atStart = anonymous();
      return [...host.descriptions(Number(ecam.gpa), true), ...(keepsAll ? [keeps] : [])];
    },
    onStopped: () => (atEnd = anonymous()),
    console: { onOutput: (said) => void (bytes += said.length) },
  });
  end = last.kind;
  grown.push(atEnd - atStart);
}
await thread.close();
process.stdout.write(`${JSON.stringify({ end, bytes, accesses: MANY * ACCESSES, grown })}\n`);
