/** One boot of a Linux guest that is asked cells, and what KVM programmed for it. */
import { randomBytes } from 'node:crypto';
import type { Arch } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { TakeOutput } from '../../../vmm/devices/console-ring.ts';
import type { OpenPciHost } from '../../../vmm/devices/pci/open.ts';
import { NOWHERE } from '../../../vmm/devices/pci/options.ts';
import type { VcpuThread } from '../../../vmm/kvm/vcpu-thread.ts';
import type { LinuxKernel } from '../../../vmm/machines/linux-arch.ts';
import { LINUX_ARCHITECTURES } from '../../../vmm/machines/linux-arches.ts';
import { attachPci, mapFor } from '../../../vmm/machines/linux-pci.ts';
import { bootLinux } from '../../../vmm/machines/linux.ts';
import type { LinuxEnd } from '../../../vmm/machines/linux.ts';
import type { GuestRam } from '../../../vmm/memory/ram.ts';
import { ERRNO } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { keptIovas } from '../../../vmm/vfio/guest-dma.ts';
import type { GuestDevice } from '../../../vmm/vfio/guest-devices.ts';
import type { OpenWindow } from '../../../vmm/vfio/open-windows.ts';
import type { HostMapped, HostMappings } from '../arch/arch.ts';
import type { Cell } from '../guest/abi.ts';
import type { Stage2Dump } from '../read-back/stage2.ts';
import { watchStage2 } from '../read-back/watch.ts';
import { encodeQuestions } from './abi.ts';
import type { Mark } from './abi.ts';
import { describeLinuxExit } from './exit.ts';
import { findLog } from './log.ts';
import type { LinuxLog } from './log.ts';
import { packInitramfs } from './program.ts';

export interface LinuxGuest {
  readonly port: Port;
  readonly arch: Arch;
  readonly thread: VcpuThread;
  readonly kernel: LinuxKernel;
  readonly program: Uint8Array;
  readonly device: GuestDevice;
  /** Of the device; their gpa is where stage 2 is reported, wherever the guest has its BARs. */
  readonly windows: readonly OpenWindow[];
  /** Guest RAM, which takes no window; its gpa is as theirs. */
  readonly control: OpenWindow;
  /** Pages of windows that the cells touch, at most. */
  readonly pages: number;
  readonly readHostMappings: (opened: readonly HostMapped[]) => HostMappings;
  readonly timeoutMs: number;
  readonly onConsole?: TakeOutput;
  readonly signal?: AbortSignal;
}

export interface LinuxRun {
  /** One sentence for a guest that did not power off; null for one that did. */
  readonly failure: string | null;
  /** KVM ended the VM for an access that stage 2 forbids. */
  readonly killed: boolean;
  readonly log: LinuxLog;
  /** Of the windows, and of the control. */
  readonly stage2: Stage2Dump;
  readonly controlStage2: Stage2Dump;
  /** Of the windows, then of the control. */
  readonly hostMappings: HostMappings;
  /** Where the guest had each window: guest-physical; null: nowhere. */
  readonly placed: readonly (bigint | null)[];
}

/** The one device of the guest's first bus, behind the host bridge. */
const DEVICE = '0000:00:01.0';
const RAM_LENGTH = 128n << 20n;
/** A console's last words, for a guest that fails. */
const TAIL = 2000;
/** Nothing but what is urgent is written to the console, an exit for each character: the program says two lines. */
const COMMAND_LINE = 'quiet panic=-1 printk.devkmsg=on';

interface Seen {
  readonly log: LinuxLog | null;
  readonly stage2: Stage2Dump;
  readonly controlStage2: Stage2Dump;
  readonly hostMappings: HostMappings;
  readonly placed: readonly (bigint | null)[];
}

/**
 * Throws E_GUEST_EXIT with the end of the console where the program never began, E_GUEST_TIMEOUT, E_GUEST_RECORDS, and as
 * bootLinux and attachPci do.
 */
export async function askLinux(guest: LinuxGuest, cells: readonly Cell[]): Promise<LinuxRun> {
  const { port, arch, thread, kernel, program, device, windows, onConsole, signal } = guest;
  const random = randomBytes(16);
  const mark: Mark = [random.readBigUInt64LE(0), random.readBigUInt64LE(8)];
  const questions = encodeQuestions(
    mark,
    [...windows.map(({ bar, offset }) => ({ device: DEVICE, bar, offset })), null],
    cells,
  );
  let console = '';
  let look: (() => Seen) | null = null;
  const seen: Seen[] = [];
  const map = mapFor(port, LINUX_ARCHITECTURES[arch], RAM_LENGTH, [device]);
  const { pci } = map;
  const end = await bootLinux({
    port,
    threads: [thread],
    kernel,
    initrd: packInitramfs(program, questions),
    commandLine: COMMAND_LINE,
    ramLength: RAM_LENGTH,
    map,
    keptIovas: keptIovas(port, [device.source.device], map.ram.limit),
    attach: async (scope, vm, ram) => {
      const { host, descriptions } = attachPci(port, scope, arch, vm, ram, { devices: [device], enforce: false, map });
      const watch = await watchStage2(arch, port, scope, {
        debugName: vm.debugName,
        vcpuThread: await thread.id(),
        pages: guest.pages,
        ranges: [pci.memory32, pci.memory64],
      });
      look = () => lookAt(guest, host, ram, findLog(ram, mark, cells.length), watch.read());
      return descriptions;
    },
    onStopped: () => void (look !== null && seen.push(look())),
    timeoutMs: guest.timeoutMs,
    ...(signal && { signal }),
    console: {
      onOutput: (bytes) => {
        console = (console + Buffer.from(bytes).toString('latin1')).slice(-TAIL);
        return onConsole?.(bytes);
      },
    },
  });
  const [found] = seen;
  const failure = failureOf(end);
  if (found === undefined || found.log === null) throw neverBegan(failure, console);
  return { ...found, log: found.log, failure, killed: isKilled(end) };
}

function lookAt(
  { windows, control, readHostMappings, device }: LinuxGuest,
  host: OpenPciHost,
  ram: GuestRam,
  log: LinuxLog | null,
  dump: Stage2Dump,
): Seen {
  const bars = barsOf(host);
  const at = windows.map(({ bar, offset }) => {
    const base = bars.get(bar)?.base ?? null;
    return base === null ? null : base + offset;
  });
  // The host's page that has the guest's.
  const controlAt = log === null || log.control === null ? null : log.control - (log.control % control.length);
  const hostAt = ({ bar, offset }: OpenWindow): { readonly address: bigint } => ({
    address: (bars.get(bar)?.hva ?? 0n) + offset,
  });
  return {
    log,
    stage2: movedTo(dump, windows, at),
    controlStage2: movedTo(dump, [control], [controlAt]),
    hostMappings: readHostMappings([
      { source: device.source, windows: windows.map((window) => ({ ...window, mapping: hostAt(window) })) },
      {
        source: { kind: 'memory', pci: null },
        windows: [{ ...control, mapping: { address: ramAddress(ram, controlAt) } }],
      },
    ]),
    placed: at,
  };
}

interface PlacedBar {
  readonly hva: bigint;
  readonly base: bigint | null;
}

function barsOf({ options }: OpenPciHost): ReadonlyMap<number, PlacedBar> {
  return new Map(
    options.functions.flatMap(({ bars, placed }) =>
      bars.map(({ bar, hva }, index): [number, PlacedBar] => {
        const base = new Float64Array(placed)[index] ?? NOWHERE;
        return [bar, { hva, base: base === NOWHERE ? null : BigInt(base) }];
      }),
    ),
  );
}

/** The host's address of a page of guest RAM; 0 where it is not known. */
function ramAddress({ regions }: GuestRam, gpa: bigint | null): bigint {
  const region = gpa === null ? undefined : regions.find((one) => gpa >= one.gpa && gpa < one.gpa + one.length);
  return region === undefined || gpa === null ? 0n : region.mapping.address + gpa - region.gpa;
}

/** What is in the windows, as if they were at their gpa and not where the guest has them. */
function movedTo(dump: Stage2Dump, windows: readonly OpenWindow[], at: readonly (bigint | null)[]): Stage2Dump {
  if (dump.kind === 'unavailable') return dump;
  return {
    kind: 'read',
    ranges: windows.flatMap(({ gpa, length }, index) => {
      const from = at[index] ?? null;
      if (from === null) return [];
      const inside = dump.ranges.filter(({ start, end }) => start < from + length && end > from);
      return inside.map(({ start, end, level, memoryType }) => ({
        start: (start > from ? start : from) - from + gpa,
        end: (end < from + length ? end : from + length) - from + gpa,
        level,
        memoryType,
      }));
    }),
  };
}

function failureOf(end: LinuxEnd): string | null {
  switch (end.kind) {
    case 'power-off':
      return null;
    case 'reset':
      return 'the guest asked for a reboot; expected it to power off. Its kernel may have panicked.';
    case 'failed':
      return describeLinuxExit(end.exit);
  }
}

function isKilled(end: LinuxEnd): boolean {
  if (end.kind !== 'failed') return false;
  return end.exit.kind === 'not-emulated' || (end.exit.kind === 'killed' && end.exit.errno === ERRNO.EFAULT);
}

function neverBegan(failure: string | null, console: string): WcvmmError {
  const why = failure ?? 'the guest powered off';
  return new WcvmmError(
    'E_GUEST_EXIT',
    `the Linux guest ended before its /init began to answer: ${why}\nThe end of its console:\n${console.trim() || '(nothing)'}`,
  );
}
