/** What verify and bench have in common: the windows, a control beside them, and what runs their guests' vCPU. */
import type { AsyncScope } from '../../common/scope.ts';
import type { TakeOutput } from '../../vmm/devices/console-ring.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import type { KvmArchitecture, KvmFacts } from '../../vmm/kvm/arch/arch.ts';
import { kvmFacts } from '../../vmm/kvm/facts.ts';
import { MainThreadRunner } from '../../vmm/kvm/main-thread-runner.ts';
import type { VcpuRunner } from '../../vmm/kvm/vcpu-runner.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { pageSize } from '../../vmm/sys/libc.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { openWindows } from '../../vmm/vfio/open-windows.ts';
import type { OpenWindows, WindowChoice } from '../../vmm/vfio/open-windows.ts';
import type { Origin, Report } from '../report/report.ts';
import type { Hazard } from '../../memattr/index.ts';
import { abortWhenLost } from '../../vmm/vfio/notices.ts';
import { watchDevice } from '../../vmm/machines/killed.ts';
import type { DeviceState } from '../../vmm/machines/killed.ts';
import type { HostMappings, VerifyArchitecture } from './arch/arch.ts';
import { VERIFY_ARCHITECTURES } from './arch/index.ts';
import { exchangeModule } from './guest/exchange.ts';
import { asLine, originHere } from './origin.ts';
import { reportPlatform } from './platform.ts';
import { hazardsHere } from './read-back/silicon.ts';

export interface SessionRequest {
  readonly choice: WindowChoice;
  readonly image: ElfImage;
  readonly timeoutMs: number;
  /** Without it only BARs that are known to be plain memory are written to. */
  readonly allowWrites: boolean;
  /** The command's arguments, for the report. */
  readonly asked?: readonly string[];
  readonly onPhase?: (what: string) => void;
  readonly onProgress?: (done: number, total: number) => void;
  readonly onConsole?: TakeOutput;
  readonly signal?: AbortSignal;
}

export interface Session {
  readonly port: Port;
  readonly arch: KvmArchitecture;
  readonly verifyArch: VerifyArchitecture;
  readonly thread: VcpuRunner;
  readonly facts: KvmFacts;
  /** The host's, bytes. */
  readonly pageSize: number;
  readonly opened: OpenWindows;
  /** Ordinary memory, opened as a window is. */
  readonly control: OpenWindows;
  /** Of the machine, without what was asked. */
  readonly origin: Origin;
  /** How far the host's own registers were read, in sentences. */
  readonly hostLimits: readonly string[];
  /** Of the machine's silicon. */
  readonly hazards: readonly Hazard[];
  /** Of the device's windows, then the control's, by loads of the host's own; null: this architecture reads them back afterwards. */
  readonly hostLoads: HostMappings | null;
  /** The request's, and aborted when the device is lost: see abortWhenLost. */
  readonly signal: AbortSignal;
  /** The device's, now; null: there is none. */
  readonly deviceState: () => DeviceState | null;
}

const CONTROL: WindowChoice = {
  source: 'memory',
  device: null,
  iommu: 'auto',
  maps: ['bar2:0-2M=default'],
  enforce: false,
};

/** Ends with `ends`. Throws as openWindows and kvmFacts do. */
export function openSession(
  port: Port,
  ends: AsyncScope,
  arch: KvmArchitecture,
  { choice, signal = null }: { readonly choice: WindowChoice; readonly signal?: AbortSignal | null },
): Session {
  const scope = ends.inner();
  const thread = new MainThreadRunner([exchangeModule]);
  ends.defer(() => thread.close());
  const page = pageSize();
  const opened = openWindows(port, scope, BARE_MAP, choice, BigInt(page));
  const facts = kvmFacts(port, arch);
  const control = openWindows(port, scope, BARE_MAP, CONTROL, BigInt(page));
  const verifyArch = VERIFY_ARCHITECTURES[arch.name];
  const { pci } = opened.source;
  return {
    port,
    arch,
    verifyArch,
    thread,
    facts,
    pageSize: page,
    opened,
    control,
    // Before any guest runs: afterwards this process may open no files and start no program.
    origin: originHere(port, verifyArch, []),
    hostLimits: verifyArch.hostLimits(port),
    hazards: hazardsHere(port),
    hostLoads: verifyArch.loadByHost([opened, control]),
    signal: abortWhenLost(port, scope, opened.source.device === null ? [] : [opened.source.device], signal),
    deviceState: pci === null ? () => null : watchDevice(port, scope, pci.address),
  };
}

/** What stands at the head of a report. */
export function reportHead(
  { port, arch, facts, origin, opened: { source, windows } }: Session,
  { asked = [] }: Pick<SessionRequest, 'asked'>,
): Pick<Report, 'schema' | 'arch' | 'origin' | 'platform' | 'device'> & { origin: Origin } {
  return {
    schema: 'wcvmm.report/1',
    arch: arch.name,
    origin: { ...origin, asked: asked.map(asLine) },
    platform: reportPlatform(port, facts, source.device),
    device: {
      address: source.pci?.address ?? null,
      id: source.pci?.id ?? null,
      source: source.kind,
      bars: source.regions
        .filter((region) => windows.some(({ bar }) => bar === region.bar))
        .map(({ bar, size }) => ({ bar, size: Number(size) })),
    },
  };
}
