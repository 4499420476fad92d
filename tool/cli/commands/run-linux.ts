/** `wcvmm run --kernel`: a machine that runs Linux. */
import { readFile } from 'node:fs/promises';
import { EXIT, WcvmmError } from '../../../common/errors.ts';
import { scoped } from '../../../common/scope.ts';
import type { AsyncScope, Scope } from '../../../common/scope.ts';
import { formatSize, parseSize } from '../../../common/size.ts';
import { requireArchitecture } from '../../../vmm/kvm/arch/index.ts';
import type { Vm } from '../../../vmm/kvm/vm.ts';
import { VcpuThread } from '../../../vmm/kvm/vcpu-thread.ts';
import { LINUX_ARCHITECTURES } from '../../../vmm/machines/linux-arches.ts';
import { attachPci, mapFor } from '../../../vmm/machines/linux-pci.ts';
import { MOST_CPUS, RAM_STEP, bootLinux } from '../../../vmm/machines/linux.ts';
import type { LinuxEnd } from '../../../vmm/machines/linux.ts';
import type { GuestRam } from '../../../vmm/memory/ram.ts';
import type { IommuPath } from '../../../vmm/vfio/device.ts';
import { keptIovas } from '../../../vmm/vfio/guest-dma.ts';
import { openSandbox } from '../sandbox/sandbox.ts';
import { openConsole, parseConsole } from '../guest-console.ts';
import { LINUX_MEMORY } from './guest-memory.ts';
import { deviceRequests, openPassed } from './passed-devices.ts';
import { watchDevice } from '../../../vmm/machines/killed.ts';
import type { KilledMachine } from '../../../vmm/machines/killed.ts';
import { abortWhenLost } from '../../../vmm/vfio/notices.ts';
import { linuxMachine } from '../../verify/guest/places.ts';
import { describeLinuxExit } from '../../verify/linux/exit.ts';

export interface LinuxOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly append: readonly string[];
  readonly cpus: string;
  /** Undefined: LINUX_MEMORY. */
  readonly memory?: string;
  readonly console: string;
  /** commander's name for --no-reboot. */
  readonly reboot: boolean;
  /** Seconds. */
  readonly timeout?: number;
  /** PCI addresses. */
  readonly device: readonly string[];
  /** Attributes: see splitMap. */
  readonly map: readonly string[];
  readonly iommu: IommuPath | 'auto';
  readonly enforce?: boolean;
  /** commander's name for --no-sandbox. */
  readonly sandbox: boolean;
}

/** Exit code of a guest that asked for a reboot, where it was not to have one. */
export const REBOOT_REFUSED = 4;

const LEAST_MEMORY = 32n << 20n;

/** Each boot has a VM of its own. */
const KEPT_BY_LINUX = { devices: ['/dev/kvm'], files: ['/proc/cpuinfo'], folders: [] };

/** Returns the exit code. */
export async function runLinux(options: LinuxOptions, signal: AbortSignal): Promise<number> {
  const [cpus, ramLength] = [cpuCount(options.cpus), ramSize(options.memory ?? LINUX_MEMORY)];
  const choice = parseConsole(options.console);
  const requests = deviceRequests(options.device, options.map, options.enforce === true);
  const arch = LINUX_ARCHITECTURES[requireArchitecture().name];
  const kernel = arch.parseKernel(await readInput('kernel', options.kernel));
  const initrd = options.initrd === undefined ? null : await readInput('initrd', options.initrd);
  const { end, machine: killedMachine } = await scoped(async (ends) => {
    const { port } = await openSandbox({ sandbox: options.sandbox, kept: KEPT_BY_LINUX, reports: [] });
    const threads = Array.from({ length: cpus }, () => new VcpuThread());
    for (const thread of threads) ends.defer(() => thread.close());
    const stopped = new AbortController();
    stopAfter(options.timeout, ends, stopped);
    const devices = openPassed(port, ends.inner(), requests, options.iommu);
    const states = devices.flatMap(({ source: { pci } }) =>
      pci === null ? [] : [watchDevice(port, ends.inner(), pci.address)],
    );
    const map = mapFor(port, arch, ramLength, devices);
    const machine = {
      port,
      arch,
      map,
      keptIovas: keptIovas(
        port,
        devices.map(({ source }) => source.device),
        map.ram.limit,
      ),
      attach: (scope: Scope, vm: Vm, ram: GuestRam) =>
        devices.length === 0
          ? []
          : attachPci(port, scope, arch.name, vm, ram, { devices, enforce: options.enforce === true, map })
              .descriptions,
      threads,
      kernel,
      initrd,
      commandLine: options.append.join(' '),
      ramLength,
      signal: abortWhenLost(
        port,
        ends.inner(),
        devices.map(({ source }) => source.device),
        AbortSignal.any([signal, stopped.signal]),
      ),
      console: await openConsole(choice, ends, (why) => stopped.abort(why)),
    };
    let last = await bootLinux(machine);
    while (last.kind === 'reset' && options.reboot) last = await bootLinux(machine);
    const killed = last.kind === 'failed' && last.exit.kind === 'killed';
    const machineThen = killed
      ? linuxMachine(
          arch.name,
          map,
          states.map((state) => state()),
        )
      : null;
    return { end: last, machine: machineThen };
  });
  return codeOf(end, killedMachine);
}

/** The limit is for all boots together. */
function stopAfter(seconds: number | undefined, ends: AsyncScope, stopped: AbortController): void {
  if (seconds === undefined) return;
  const late = new WcvmmError(
    'E_GUEST_TIMEOUT',
    `the guest did not end within ${seconds} s and was stopped. If it needs longer, give --timeout.`,
  );
  const timer = setTimeout(() => stopped.abort(late), seconds * 1000);
  ends.defer(() => clearTimeout(timer));
}

function codeOf(end: LinuxEnd, machine: KilledMachine | null): number {
  switch (end.kind) {
    case 'power-off':
      return EXIT.match;
    case 'reset':
      process.stderr.write('wcvmm: the guest asked for a reboot, and --no-reboot says to end then\n');
      return REBOOT_REFUSED;
    case 'failed':
      throw new WcvmmError('E_GUEST_EXIT', describeLinuxExit(end.exit, machine));
  }
}

async function readInput(what: 'kernel' | 'initrd', path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new WcvmmError('E_GUEST_IMAGE', `--${what} ${path} cannot be read; expected a file of at most 2 GiB.`, {
      cause: error,
    });
  }
}

function cpuCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,4}$/.test(text) && count >= 1 && count <= MOST_CPUS) return count;
  throw new WcvmmError('E_USAGE', `--cpus ${text} is no number of vCPUs; expected 1 to ${MOST_CPUS}, as in --cpus 2.`);
}

function ramSize(text: string): bigint {
  const size = parseSize(text);
  if (size !== null && size >= LEAST_MEMORY && size % RAM_STEP === 0n) return size;
  throw new WcvmmError(
    'E_USAGE',
    `--memory ${text} is no size that a Linux guest can have; expected whole ${formatSize(RAM_STEP)} from ${formatSize(LEAST_MEMORY)} on, as in --memory 256M.`,
  );
}
