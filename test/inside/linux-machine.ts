/**
 * Machines for Linux with kernels of a few instructions, on whatever KVM there is: the instance's in a testbed, this machine's
 * own otherwise. One line of JSON for each thing that was tried. Arguments: the ways to an IOMMU that devices
 * are opened by, and devices that VFIO has, by their PCI addresses.
 */
import { WcvmmError } from '../../common/errors.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { attachPci, mapFor } from '../../vmm/machines/linux-pci.ts';
import { parseMap } from '../../vmm/memory/map.ts';
import { openGuestDevices } from '../../vmm/vfio/guest-devices.ts';
import { scoped } from '../../common/scope.ts';
import { LINUX_ARCHITECTURES } from '../../vmm/machines/linux-arches.ts';
import { bootLinux } from '../../vmm/machines/linux.ts';
import type { LinuxEnd, LinuxMachine } from '../../vmm/machines/linux.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import { KVM_CAP } from '../../vmm/sys/kvm.ts';
import { ERRNO } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { IommuPath } from '../../vmm/vfio/device.ts';
import { FaultyPort } from './faulty-port.ts';
import type { Fallible } from './faulty-port.ts';
import { tinyKernel } from './tiny-kernel.ts';
import type { Deed } from './tiny-kernel.ts';

const KVM_CHECK_EXTENSION = 0xae03;

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

function bootWith(
  deeds: readonly Deed[],
  { cpus = 1, ...more }: Partial<LinuxMachine> & { readonly cpus?: number } = {},
): Promise<LinuxEnd> {
  return bootLinux({
    threads: threadsFor(cpus),
    kernel: LINUX_ARCHITECTURES[arch].parseKernel(tinyKernel(arch, deeds)),
    initrd: null,
    commandLine: '',
    ramLength: 64n << 20n,
    timeoutMs: 60_000,
    console: null,
    ...more,
  });
}

async function boot(
  deeds: readonly Deed[],
  more: Partial<LinuxMachine> & { readonly cpus?: number } = {},
): Promise<Booted> {
  const said: Uint8Array[] = [];
  const console = { onOutput: (bytes: Uint8Array) => void said.push(bytes) };
  const end = await bootWith(deeds, { console, ...more }).catch((error: unknown) => {
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

interface Faults {
  /** How many calls there were to fail. */
  readonly calls: number;
  /** What was held after a round, and nobody holds it any more. */
  readonly left: readonly string[];
  /** What was said of a failure that does not name the call. */
  readonly unnamed: readonly string[];
}

/** In round n the n-th system call of `work` fails. */
async function faults(fallible: Fallible, work: (port: Port) => Promise<unknown>): Promise<Faults> {
  const [left, unnamed]: [string[], string[]] = [[], []];
  for (let call = 1; ; call += 1) {
    const faulty = new FaultyPort(libcPort, call, ERRNO.ENOMEM, fallible);
    const said = await work(faulty.port).then(
      () => null,
      (error: unknown) => (error instanceof Error ? `${error.message} ${String(error.cause)}` : String(error)),
    );
    const { fds, mappings, memslots } = faulty.held();
    left.push(...[...fds, ...mappings, ...memslots].map((what) => `call ${call} (${faulty.failed}): ${what}`));
    if (faulty.failed === null) return { calls: call - 1, left, unnamed };
    if (said !== null && !said.includes(faulty.failed)) unnamed.push(`call ${call} (${faulty.failed}): ${said}`);
  }
}

/** Bytes: it is mapped for devices once a round. */
const LITTLE = 32n << 20n;

function withoutDevices(port: Port): Promise<LinuxEnd> {
  return bootWith(['power-off'], { port, cpus: 2, ramLength: LITTLE });
}

function withDevices(addresses: readonly string[], iommu: IommuPath): (port: Port) => Promise<LinuxEnd> {
  const requests = addresses.map((address) => ({ address, maps: [parseMap('bar2:0-64K=device')] }));
  return (port) =>
    scoped((all) => {
      const devices = openGuestDevices(port, all.inner(), requests, iommu);
      return bootWith(['power-off'], {
        port,
        ramLength: LITTLE,
        attach: (scope, vm, ram) => attachPci(port, scope, arch, vm, ram, { devices, enforce: false }).descriptions,
      });
    });
}

/** A KVM that gives a VM no more than `most` vCPUs. */
function fewVcpus(most: number): Port {
  return {
    ...libcPort,
    ioctl: (fd, request, argument) =>
      request === KVM_CHECK_EXTENSION && argument === KVM_CAP.maxVcpus ? most : libcPort.ioctl(fd, request, argument),
  };
}

found('says and powers off', await boot([{ say: 'né?' }, 'power-off']));
found('resets', [await boot(['reset']), await boot(['reset']), await boot([{ say: 'a' }, 'reset'])]);
found('two vCPUs', await boot(['power-off'], { cpus: 2 }));
found('four vCPUs', await boot(['power-off'], { cpus: 4 }));
found('much RAM', await boot(['power-off'], { ramLength: 200n << 30n }));
const more = 260n << 30n;
const map = mapFor(libcPort, LINUX_ARCHITECTURES[arch], more, []);
// A CPU of 39 bits has no room for it.
found('more RAM than below the usual BARs', map.bits > 39 ? await boot(['power-off'], { ramLength: more, map }) : null);
found('spins', await boot(['spin'], { timeoutMs: 100, cpus: 2 }));
if (arch === 'x86') found('triple faults', [await boot([{ say: 'a' }, 'fault']), await boot(['fault'])]);
found('17 vCPUs', await boot(['power-off'], { cpus: 17 }));
found('too much RAM', await boot(['power-off'], { ramLength: 512n << 30n }));
found('initrd', await boot(['power-off'], { initrd: new Uint8Array(70 << 20) }));
found('kept IOVAs', await boot(['power-off'], { keptIovas: [{ gpa: 0n, length: 1n << 32n }] }));
found('more vCPUs than KVM has', await boot(['power-off'], { cpus: 3, port: fewVcpus(2) }));
const [iommus = '', ...devices] = process.argv.slice(2);
for (const fallible of ['taking', 'giving back'] as const) {
  found(`a fault while ${fallible}`, await faults(fallible, withoutDevices));
  for (const iommu of (['iommufd', 'container'] as const).filter((one) => iommus.includes(one)))
    found(`a fault while ${fallible}, devices by ${iommu}`, await faults(fallible, withDevices(devices, iommu)));
}
await Promise.all(threads.map((thread) => thread.close()));
