/**
 * Runs inside a testbed: boots Linux guests with passed-through devices, and tells what came of them. The argument is JSON: the
 * guests, one after the other. Where a guest says "mark: NAME" and waits, the exits so far are counted, and it goes on.
 */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { scoped } from '../../common/scope.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { LINUX_ARCHITECTURES } from '../../vmm/machines/linux-arches.ts';
import type { OpenPciHost } from '../../vmm/devices/pci/open.ts';
import type { FunctionOptions } from '../../vmm/devices/pci/options.ts';
import type { UartInput } from '../../vmm/devices/uart.ts';
import { attachPci } from '../../vmm/machines/linux-pci.ts';
import { bootLinux } from '../../vmm/machines/linux.ts';
import { parseMap } from '../../vmm/memory/map.ts';
import { parseSize } from '../../common/size.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { keptIovas } from '../../vmm/vfio/guest-dma.ts';
import { openGuestDevices } from '../../vmm/vfio/guest-devices.ts';
import { tell } from './report.ts';

export interface GuestRequest {
  readonly name: string;
  readonly append: string;
  readonly cpus?: number;
  readonly memory?: string;
  readonly iommu?: 'iommufd' | 'container';
  readonly devices: readonly { readonly address: string; readonly maps?: readonly string[] }[];
  /** Devices that VFIO does not have yet; of one that is a disk until then, the first bytes are told. */
  readonly take?: readonly { readonly address: string; readonly bytes?: number }[];
  /** Boots at most. */
  readonly boots?: number;
}

export interface LinuxDevicesRequest {
  readonly kernel: string;
  readonly initrd: string;
  readonly guests: readonly GuestRequest[];
}

/** Exits that came out of KVM, by KVM's own counts of the VM, and of those the ones at BARs, by device. */
export interface Counted {
  readonly mark: string;
  readonly served: number;
  readonly bars: readonly number[];
  /** Bytes of this process's memory, without the guest's own. */
  readonly resident: number;
}

export interface GuestFound {
  readonly console: string;
  readonly ends: readonly string[];
  readonly counted: readonly Counted[];
  /** Of each boot. */
  readonly barExits: readonly (readonly number[])[];
  /** How many BARs another device reached at the last mark. */
  readonly peers: number;
  readonly error: string | null;
}

const { guests, ...files } = JSON.parse(process.argv[2] ?? '{}') as LinuxDevicesRequest;
const arch = LINUX_ARCHITECTURES[requireArchitecture().name];
const threads = Array.from({ length: Math.max(...guests.map(({ cpus = 1 }) => cpus)) }, () => new VcpuThread());

function takeDevice(address: string, bytes: number): void {
  const device = `/sys/bus/pci/devices/${address}`;
  if (bytes > 0) tell(`crc ${address}`, firstBytes(namespaceOf(device), bytes));
  if (port.exists(`${device}/driver`)) port.writeText(`${device}/driver/unbind`, address);
  port.writeText(`${device}/driver_override`, 'vfio-pci');
  port.writeText('/sys/bus/pci/drivers_probe', address);
}

/** Of an NVMe controller's first namespace: the block device's name. */
function namespaceOf(device: string): string {
  const controllers = port.list(`${device}/nvme`).map((name) => `${device}/nvme/${name}`);
  const names = controllers.flatMap((controller) => port.list(controller));
  return names.find((name) => /^nvme\d+n\d+$/.test(name)) ?? 'no namespace';
}

/** Their CRC-32. */
function firstBytes(block: string, bytes: number): string {
  const fd = port.open(`/dev/${block}`, 0);
  const data = new Uint8Array(bytes);
  const got = port.pread(fd, data, 0n);
  port.close(fd);
  return got === bytes ? `0x${crc32(data).toString(16).padStart(8, '0')}` : `${got} bytes`;
}

/** How many BARs another device reaches. */
function mappedForPeers(functions: readonly FunctionOptions[]): number {
  return functions.flatMap(({ peerMaps }) => [...new Int32Array(peerMaps)]).filter((word) => word !== 0).length;
}

/** KVM's statistics of a VM, in debugfs: arm64's of accesses that user space served, x86's of ports and of memory. */
function servedExits(debugName: string): number {
  const folder = `/sys/kernel/debug/kvm/${process.pid}-${debugName.split('-')[1]}`;
  return ['mmio_exit_user', 'io_exits', 'mmio_exits']
    .filter((name) => port.exists(`${folder}/${name}`))
    .reduce((sum, name) => sum + Number(port.readText(`${folder}/${name}`)), 0);
}

function residentBytes(): number {
  const { anonymous = '0' } =
    /^RssAnon:\s+(?<anonymous>\d+) kB$/m.exec(port.readText('/proc/self/status'))?.groups ?? {};
  return Number(anonymous) << 10;
}

async function runGuest(request: GuestRequest): Promise<GuestFound> {
  const ends: string[] = [];
  const counted: Counted[] = [];
  const barExits: (readonly number[])[] = [];
  let [text, rest, peers] = ['', '', 0];
  for (const { address, bytes = 0 } of request.take ?? []) takeDevice(address, bytes);
  const error = await scoped(async (all) => {
    const devices = openGuestDevices(
      port,
      all.inner(),
      request.devices.map(({ address, maps = [] }) => ({ address, maps: maps.map(parseMap) })),
      request.iommu ?? 'auto',
    );
    for (;;) {
      let host: OpenPciHost | null = null;
      let debugName = '';
      let input: UartInput | null = null;
      const count = (mark: string): void => {
        peers = mappedForPeers(host?.options.functions ?? []);
        counted.push({ mark, served: servedExits(debugName), bars: host?.exits() ?? [], resident: residentBytes() });
        void input?.type(new TextEncoder().encode('\n'));
      };
      const last = await bootLinux({
        threads: threads.slice(0, request.cpus ?? 1),
        kernel: arch.parseKernel(readFileSync(files.kernel)),
        initrd: readFileSync(files.initrd),
        commandLine: request.append,
        ramLength: parseSize(request.memory ?? '128M') ?? 0n,
        keptIovas: keptIovas(
          port,
          devices.map(({ source }) => source.device),
          arch.map.ram.limit,
        ),
        attach: (scope, vm, ram) => {
          debugName = vm.debugName;
          const attached = attachPci(port, scope, arch.name, vm, ram, { devices, enforce: false });
          host = attached.host;
          scope.defer(() => void barExits.push(attached.host.exits()));
          return attached.descriptions;
        },
        timeoutMs: 300_000,
        console: {
          onInput: (typed) => (input = typed),
          onOutput: (bytes) => {
            const lines = (rest + Buffer.from(bytes).toString()).split('\n');
            rest = lines.pop() ?? '';
            for (const line of lines) {
              // A guest that says very much costs no memory here.
              text = `${text}${line}\n`.slice(-100_000);
              const [, mark] = /^mark: (\S+)/.exec(line) ?? [];
              if (mark !== undefined) count(mark);
            }
          },
        },
      });
      ends.push(last.kind === 'failed' ? last.exit.kind : last.kind);
      if (last.kind !== 'reset' || ends.length >= (request.boots ?? 1)) return null;
    }
  }).catch((failure: unknown) => String(failure));
  return { console: text, ends, counted, barExits, peers, error };
}

for (const guest of guests) tell(guest.name, JSON.stringify(await runGuest(guest)));
await Promise.all(threads.map((thread) => thread.close()));
