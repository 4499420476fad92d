/**
 * Machines for Linux with kernels of a few instructions, on whatever KVM there is: the instance's in a testbed, this machine's
 * own otherwise. One line of JSON for each thing that was tried. Arguments: devices that VFIO has, by their PCI addresses.
 */
import { WcvmmError } from '../../common/errors.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { attachPci } from '../../vmm/machines/linux-pci.ts';
import { parseMap } from '../../vmm/memory/map.ts';
import { openGuestDevices } from '../../vmm/vfio/guest-devices.ts';
import { scoped } from '../../common/scope.ts';
import { LINUX_ARCHITECTURES } from '../../vmm/machines/linux-arches.ts';
import { bootLinux } from '../../vmm/machines/linux.ts';
import type { LinuxEnd, LinuxMachine } from '../../vmm/machines/linux.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import { ERRNO } from '../../vmm/sys/port.ts';
import { FaultyPort } from './faulty-port.ts';
import { tinyKernel } from './tiny-kernel.ts';
import type { Deed } from './tiny-kernel.ts';

const arch = requireArchitecture().name;
const threads: VcpuThread[] = [];

function threadsFor(cpus: number): readonly VcpuThread[] {
  while (threads.length < cpus) threads.push(new VcpuThread());
  return threads.slice(0, cpus);
}

interface Booted {
  readonly end: LinuxEnd | { readonly error: string };
  readonly said: string;
}

async function boot(
  deeds: readonly Deed[],
  { cpus = 1, ...more }: Partial<LinuxMachine> & { readonly cpus?: number } = {},
): Promise<Booted> {
  const said: Uint8Array[] = [];
  const machine: LinuxMachine = {
    threads: threadsFor(cpus),
    kernel: LINUX_ARCHITECTURES[arch].parseKernel(tinyKernel(arch, deeds)),
    initrd: null,
    commandLine: '',
    ramLength: 64n << 20n,
    timeoutMs: 60_000,
    console: { onOutput: (bytes) => void said.push(bytes) },
    ...more,
  };
  const end = await bootLinux(machine).catch((error: unknown) => {
    if (error instanceof WcvmmError) return { error: error.code };
    throw error;
  });
  return { end, said: Buffer.concat(said).toString() };
}

function found(name: string, value: unknown): void {
  const text = JSON.stringify({ name, found: value }, (_, item: unknown) =>
    typeof item === 'bigint' ? `0x${item.toString(16)}` : item,
  );
  process.stdout.write(`${text}\n`);
}

/** In round n the n-th system call fails; what is held after each round. */
async function leaks(): Promise<{ readonly calls: number; readonly left: readonly string[] }> {
  const left: string[] = [];
  for (let call = 1; ; call += 1) {
    const faulty = new FaultyPort(libcPort, call, ERRNO.ENOMEM);
    await boot(['power-off'], { port: faulty.port, cpus: 2 }).catch(() => {});
    const { fds, mappings, memslots } = faulty.held();
    left.push(...[...fds, ...mappings, ...memslots].map((what) => `call ${call} (${faulty.failed}): ${what}`));
    if (faulty.failed === null) return { calls: call - 1, left };
  }
}

/** As `leaks`, with devices passed through; and what a failure does not say of the call that failed. */
async function leaksWith(
  addresses: readonly string[],
): Promise<{ readonly calls: number; readonly left: readonly string[]; readonly unnamed: readonly string[] }> {
  const [left, unnamed]: [string[], string[]] = [[], []];
  const requests = addresses.map((address) => ({ address, maps: [parseMap('bar2:0-64K=device')] }));
  for (let call = 1; ; call += 1) {
    const faulty = new FaultyPort(libcPort, call, ERRNO.ENOMEM);
    const { port } = faulty;
    const said = await scoped(async (all) => {
      const devices = openGuestDevices(port, all.inner(), requests, 'auto');
      return boot(['power-off'], {
        port,
        attach: (scope, vm, ram) => attachPci(port, scope, arch, vm, ram, { devices, enforce: false }).descriptions,
      });
    }).then(
      () => null,
      (error: unknown) => (error instanceof Error ? `${error.message} ${String(error.cause)}` : String(error)),
    );
    const { fds, mappings, memslots } = faulty.held();
    left.push(...[...fds, ...mappings, ...memslots].map((what) => `call ${call} (${faulty.failed}): ${what}`));
    if (faulty.failed === null) return { calls: call - 1, left, unnamed };
    if (said !== null && !said.includes(faulty.failed)) unnamed.push(`call ${call} (${faulty.failed}): ${said}`);
  }
}

found('says and powers off', await boot([{ say: 'né?' }, 'power-off']));
found('resets', [await boot(['reset']), await boot(['reset']), await boot([{ say: 'a' }, 'reset'])]);
found('two vCPUs', await boot(['power-off'], { cpus: 2 }));
found('four vCPUs', await boot(['power-off'], { cpus: 4 }));
found('much RAM', await boot(['power-off'], { ramLength: 200n << 30n }));
found('spins', await boot(['spin'], { timeoutMs: 100, cpus: 2 }));
if (arch === 'x86') found('triple faults', [await boot([{ say: 'a' }, 'fault']), await boot(['fault'])]);
found('17 vCPUs', await boot(['power-off'], { cpus: 17 }));
found('too much RAM', await boot(['power-off'], { ramLength: 512n << 30n }));
found('initrd', await boot(['power-off'], { initrd: new Uint8Array(70 << 20) }));
found('kept IOVAs', await boot(['power-off'], { keptIovas: [{ gpa: 0n, length: 1n << 32n }] }));
found('leaks', await leaks());
const devices = process.argv.slice(2);
if (devices.length > 0) found('leaks with devices', await leaksWith(devices));
await Promise.all(threads.map((thread) => thread.close()));
