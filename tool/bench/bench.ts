/**
 * Measures windows with the probes of the bare guest: each figure several times over, all figures in turn, so that what
 * disturbs the machine for a while disturbs no figure alone. Ordinary memory is measured beside the windows: what a loop
 * costs anyway is what it shows.
 */
import type { Stage1Type } from '../../memattr/index.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { summarise } from '../report/report.ts';
import type { Report, ReportWindow } from '../report/report.ts';
import { scoped } from '../../common/scope.ts';
import { pageSize } from '../../vmm/sys/libc.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { CHAINS } from '../verify/chains.ts';
import { describeWindow } from '../verify/evidence.ts';
import { limitsOf } from '../verify/limits.ts';
import { kvmFacts } from '../../vmm/kvm/facts.ts';
import { reportPlatform } from '../verify/platform.ts';
import { expectationOf } from '../verify/questions.ts';
import { CONTROL, barsOf } from '../verify/verify.ts';
import type { VerifyRequest } from '../verify/verify.ts';
import { requireHarmless } from '../verify/writes.ts';
import { openWindows, targetOf } from '../../vmm/vfio/open-windows.ts';
import { measure } from './measure.ts';
import type { Measured, Measurer } from './measure.ts';

export interface BenchRequest extends Omit<VerifyRequest, 'command' | 'overrides'> {
  /** Samples of each figure. */
  readonly runs: number;
}

export async function bench(port: Port, arch: KvmArchitecture, request: BenchRequest): Promise<Report> {
  const chain = CHAINS[arch.name];
  return scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    requireHarmless(targetOf(port, request.choice), request.allowWrites);
    const { source, windows } = openWindows(port, scope, BARE_MAP, request.choice, BigInt(pageSize()));
    requireHarmless({ pci: source.pci, bars: windows.map(({ bar }) => bar) }, request.allowWrites);
    const control = openWindows(port, scope, BARE_MAP, CONTROL, BigInt(pageSize()));
    const facts = kvmFacts(port, arch);
    const doing: Measurer = { port, arch, thread, facts, stage1Types: chain.model.stage1Types, request };
    const ofControl = await measure(doing, control.windows, 'ordinary memory');
    const ofWindows = await measure(doing, windows, source.kind === 'memory' ? 'memory' : 'the BAR');
    const platform = reportPlatform(port, facts, source.device);
    const hostMappings = chain.readHostMappings(port, [{ source, windows }]);
    const described = [
      ...describe(chain.windowsPlatform(port, facts, source, windows), { source, windows }, ofWindows),
      ...describe({ ...chain.controlPlatform(facts), mte: false }, control, ofControl),
    ];
    const figures = [
      ...ofWindows.figures,
      ...ofControl.figures.map((figure) => Object.assign({}, figure, { window: figure.window + windows.length })),
    ];
    return {
      schema: 'wcvmm.report/1',
      command: 'bench',
      arch: arch.name,
      platform,
      device: {
        address: source.pci?.address ?? null,
        id: source.pci?.id ?? null,
        source: source.kind,
        bars: barsOf(source, windows),
      },
      windows: described.map(({ window }) => window),
      checks: [],
      limits: limitsOf({
        source: source.kind,
        stage2: ofWindows.stage2,
        hostMappings,
        blindness: chain.blindness(platform.emulator),
        unknowns: chain.hostLimits(port),
      }),
      bench: {
        meaningless: meaningless(platform.emulator, source.kind),
        runs: request.runs,
        figures: figures.map((figure) =>
          Object.assign({}, figure, { effective: described[figure.window]?.effective(figure.stage1) ?? '' }),
        ),
      },
      summary: summarise([]),
    };

    function describe(
      on: Parameters<typeof expectationOf>[1],
      open: Pick<ReturnType<typeof openWindows>, 'source' | 'windows'>,
      { stage2, exits }: Measured,
    ): readonly Described[] {
      const common = {
        model: chain.model,
        source: open.source,
        platform: on,
        stage2,
        windowExits: exits,
        ticksPerSecond: facts.ticksPerSecond,
      };
      return open.windows.map((window, index) => {
        const host = open.source === source && hostMappings.kind === 'read' ? hostMappings.windows[index] : undefined;
        const reported = describeWindow(common, index, window, host);
        const expected = expectationOf(chain.model, on, open.source.kind, window);
        const asPredicted =
          reported.stage2.programmed === null || reported.stage2.programmed === reported.stage2.predicted;
        return {
          window: reported,
          effective: (name: string) =>
            typeOf(chain.model.stage1Types, name, asPredicted ? expected.effective : undefined),
        };
      });
    }
  });
}

interface Described {
  readonly window: ReportWindow;
  readonly effective: (stage1: string) => string;
}

function typeOf(
  types: readonly Stage1Type[],
  name: string,
  effective: ((stage1: Stage1Type) => string) | undefined,
): string {
  const type = types.find((one) => one.name === name);
  return type === undefined || effective === undefined ? 'unknown' : effective(type);
}

function meaningless(emulator: string | null, source: string): string | null {
  if (emulator !== null)
    return `measured in ${emulator}, which has no caches, buffers or buses: the figures show that the bench works, and nothing of any hardware`;
  return source === 'memory'
    ? 'measured on ordinary memory in the place of a BAR: the figures say nothing of a device'
    : null;
}
