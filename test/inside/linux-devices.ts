/**
 * Runs inside a testbed: boots Linux guests with passed-through devices, and tells what came of it. The argument is JSON: see
 * Request. The guest's console goes to standard output; each line is preceded by the VM's exits so far that no part of KVM served.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { scoped } from '../../common/scope.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import type { Vm } from '../../vmm/kvm/vm.ts';
import { LINUX_ARCHITECTURES } from '../../vmm/machines/linux-arches.ts';
import type { FunctionOptions } from '../../vmm/devices/pci/options.ts';
import { attachPci } from '../../vmm/machines/linux-pci.ts';
import { bootLinux } from '../../vmm/machines/linux.ts';
import { parseMap } from '../../vmm/memory/map.ts';
import { parseSize } from '../../common/size.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { keptIovas } from '../../vmm/vfio/guest-dma.ts';
import { openGuestDevices } from '../../vmm/vfio/guest-devices.ts';
import { tell } from './report.ts';

export interface LinuxDevicesRequest {
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
  readonly cpus?: number;
  readonly memory?: string;
  readonly iommu?: 'iommufd' | 'container';
  readonly enforce?: boolean;
  readonly devices: readonly { readonly address: string; readonly maps?: readonly string[] }[];
  /** Devices that VFIO does not have yet; of one that is a disk until then, the first bytes are told. */
  readonly take?: readonly { readonly address: string; readonly bytes?: number }[];
  /** Boots at most. */
  readonly boots?: number;
}

const request = JSON.parse(process.argv[2] ?? '{}') as LinuxDevicesRequest;
const arch = LINUX_ARCHITECTURES[requireArchitecture().name];

for (const { address, bytes = 0 } of request.take ?? []) {
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

function none(): readonly number[] {
  return [];
}

/** Exits that a VMM served: KVM's own counts of the VM, in debugfs. */
function exitCounts(debugName: string): Record<string, number> {
  const folder = `/sys/kernel/debug/kvm/${process.pid}-${debugName.split('-')[1]}`;
  const names = readdirSync(folder).filter((name) =>
    ['mmio_exit_user', 'mmio_exits', 'io_exits', 'exits'].includes(name),
  );
  return Object.fromEntries(names.map((name) => [name, Number(readFileSync(`${folder}/${name}`, 'utf8'))]));
}

const end = await scoped(async (ends) => {
  const scope = ends.inner();
  const devices = openGuestDevices(
    port,
    scope,
    request.devices.map(({ address, maps = [] }) => ({ address, maps: maps.map(parseMap) })),
    request.iommu ?? 'auto',
  );
  const threads = Array.from({ length: request.cpus ?? 1 }, () => new VcpuThread());
  for (const thread of threads) ends.defer(() => thread.close());
  let boot = 0;
  for (;;) {
    let vm: Vm | null = null;
    let exits: () => readonly number[] = none;
    let functions: readonly FunctionOptions[] = [];
    const last = await bootLinux({
      threads,
      kernel: arch.parseKernel(readFileSync(request.kernel)),
      initrd: readFileSync(request.initrd),
      commandLine: request.append,
      ramLength: parseSize(request.memory ?? '256M') ?? 0n,
      keptIovas: keptIovas(
        port,
        devices.map(({ source }) => source.device),
        arch.map.ram.limit,
      ),
      attach: (inner, made, ram) => {
        vm = made;
        const { host, descriptions } = attachPci(port, inner, arch.name, made, ram, {
          devices,
          enforce: request.enforce === true,
        });
        exits = () => host.exits();
        functions = host.options.functions;
        return descriptions;
      },
      timeoutMs: 100_000,
      console: {
        onOutput: (bytes) => {
          const text = new TextDecoder().decode(bytes);
          process.stdout.write(text);
          if (text.includes('read:') && vm !== null)
            tell(
              'exits',
              JSON.stringify({ ...exitCounts(vm.debugName), bars: exits(), peers: mappedForPeers(functions) }),
            );
        },
      },
    });
    boot += 1;
    tell(`end ${boot}`, last.kind === 'failed' ? last.exit.kind : last.kind);
    tell(`bar exits ${boot}`, exits().join(' '));
    if (last.kind !== 'reset' || boot >= (request.boots ?? 1)) return last;
  }
});
process.exitCode = end.kind === 'failed' ? 1 : 0;
