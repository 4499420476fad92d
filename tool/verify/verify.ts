/**
 * The whole journey: windows are opened, guests are asked, KVM is read back, and memattr's prediction stands beside both.
 * A control comes first: the same guest on ordinary memory, where everything is known, in a VM that has MTE if KVM has it.
 */
import type { Platform } from '../../memattr/index.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import type { KvmArchitecture, KvmFacts } from '../../vmm/kvm/arch/arch.ts';
import { summarise } from '../report/report.ts';
import type { Check, Report, ReportWindow } from '../report/report.ts';
import { scoped } from '../../common/scope.ts';
import { pageSize } from '../../vmm/sys/libc.ts';
import type { TakeOutput } from '../../vmm/devices/console-ring.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { BarSource } from '../../vmm/vfio/source.ts';
import { openWindows, targetOf } from '../../vmm/vfio/open-windows.ts';
import type { OpenWindow, OpenWindows, WindowChoice } from '../../vmm/vfio/open-windows.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { CHAINS } from './chains.ts';
import type { Chain, HostMappingReading } from './chain.ts';
import { emulatorHere } from './emulator.ts';
import { checkOf, describeWindow, inOrder } from './evidence.ts';
import { limitsOf } from './limits.ts';
import { interview } from './lives.ts';
import type { Interview } from './lives.ts';
import { replacePredictions } from './predict.ts';
import type { PredictionOverride } from './predict.ts';
import { kvmFacts } from '../../vmm/kvm/facts.ts';
import { reportPlatform } from './platform.ts';
import { questionsFor } from './questions.ts';
import type { Question } from './questions.ts';
import { requireHarmless } from './writes.ts';

export interface VerifyRequest {
  readonly command: 'verify' | 'compare';
  readonly choice: WindowChoice;
  readonly image: ElfImage;
  readonly timeoutMs: number;
  /** Without it only BARs that are known to be plain memory are written to. */
  readonly allowWrites: boolean;
  readonly overrides: readonly PredictionOverride[];
  readonly onPhase?: (what: string) => void;
  readonly onProgress?: (answered: number, total: number) => void;
  readonly onConsole?: TakeOutput;
  readonly signal?: AbortSignal;
}

export const CONTROL: WindowChoice = {
  source: 'memory',
  device: null,
  iommu: 'auto',
  maps: ['bar2:0-2M=default'],
  enforce: false,
};

interface Asking {
  readonly port: Port;
  readonly arch: KvmArchitecture;
  readonly chain: Chain;
  readonly thread: VcpuThread;
  readonly facts: KvmFacts;
  readonly request: VerifyRequest;
}

/** What guests said of some windows. */
interface Told extends OpenWindows, Interview {
  readonly platform: Platform;
  readonly questions: readonly Question[];
}

interface Result {
  readonly windows: readonly ReportWindow[];
  readonly checks: readonly Check[];
}

export async function verify(port: Port, arch: KvmArchitecture, request: VerifyRequest): Promise<Report> {
  const chain = CHAINS[arch.name];
  return scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const page = BigInt(pageSize());
    requireHarmless(targetOf(port, request.choice), request.allowWrites);
    const opened = openWindows(port, scope, BARE_MAP, request.choice, page);
    const { source, windows } = opened;
    requireHarmless({ pci: source.pci, bars: windows.map(({ bar }) => bar) }, request.allowWrites);
    const facts = kvmFacts(port, arch);
    const asking: Asking = { port, arch, chain, thread, facts, request };
    const control = openWindows(port, scope, BARE_MAP, CONTROL, page);
    const controlTold = await ask(asking, control, chain.controlPlatform(facts), 'control');
    const platform = chain.windowsPlatform(port, facts, source, windows);
    const told = await ask(asking, opened, platform, 'device');
    const hostMappings = chain.readHostMappings(port, [opened, control]);
    const mappings = hostMappings.kind === 'read' ? hostMappings.windows : [];
    const shift = windows.length;
    const result = describe(asking, told, mappings);
    const controlResult = describe(asking, controlTold, mappings.slice(shift));
    const checks = [
      ...result.checks,
      ...controlResult.checks.map((check) => ({ ...check, window: check.window + shift })),
    ];
    const reported = reportPlatform(port, facts, source.device);
    return {
      schema: 'wcvmm.report/1',
      command: request.command,
      arch: arch.name,
      platform: reported,
      device: {
        address: source.pci?.address ?? null,
        id: source.pci?.id ?? null,
        source: source.kind,
        bars: barsOf(source, windows),
      },
      windows: [...result.windows, ...controlResult.windows],
      checks,
      limits: limitsOf({
        source: source.kind,
        stage2: told.stage2,
        hostMappings,
        blindness: chain.blindness(reported.emulator),
        unknowns: [
          ...(told.questions.some(({ prediction }) => prediction.kind === 'one-of') ? chain.unknowns(platform) : []),
          ...chain.hostLimits(port),
        ],
      }),
      summary: summarise(checks),
    };
  });
}

export function barsOf({ regions }: BarSource, windows: readonly OpenWindow[]): { bar: number; size: number }[] {
  return regions
    .filter((region) => windows.some(({ bar }) => bar === region.bar))
    .map(({ bar, size }) => ({ bar, size: Number(size) }));
}

async function ask(
  { port, arch, chain, thread, request }: Asking,
  opened: OpenWindows,
  platform: Platform,
  what: 'control' | 'device',
): Promise<Told> {
  const { source, windows } = opened;
  const { image, timeoutMs, onConsole, onPhase, onProgress, signal, overrides } = request;
  const { model } = chain;
  const predicted = questionsFor(model, platform, source.kind, windows, chain.stage1Types(platform));
  const questions = what === 'device' ? replacePredictions(predicted, overrides) : predicted;
  onPhase?.(
    what === 'control'
      ? 'asking a guest on ordinary memory'
      : `asking guests on the ${source.kind === 'memory' ? 'memory' : 'BAR'}`,
  );
  const interviewed = await interview(
    {
      port,
      arch,
      thread,
      image,
      windows,
      mte: platform.mte,
      timeoutMs,
      ...(onProgress && { onLife: onProgress }),
      ...(onConsole && { onConsole }),
      ...(signal && { signal }),
    },
    questions,
  );
  return { ...opened, ...interviewed, platform, questions };
}

function describe(
  { port, chain: { model }, facts: { ticksPerSecond } }: Asking,
  told: Told,
  mappings: readonly HostMappingReading[],
): Result {
  const described = { ...told, model, ticksPerSecond, emulator: emulatorHere(port) };
  const windows = told.windows.map((window, index) => describeWindow(described, index, window, mappings[index]));
  const checks = told.asked.map((one) =>
    checkOf(described, one, windows[one.question.window]?.stage2.programmed ?? null),
  );
  return {
    windows,
    checks: inOrder(
      checks,
      told.questions.map(({ window, stage1, probe }) => `${window} ${stage1.name} ${probe}`),
    ),
  };
}
