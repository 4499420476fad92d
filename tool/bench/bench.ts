/**
 * What stores and loads cost in each window, by memory type: figures, and no verdict. Ordinary memory is measured beside
 * the windows: it shows what the loop itself costs.
 */
import type { Platform, Stage1Type } from '../../memattr/index.ts';
import { scoped } from '../../common/scope.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { targetOf } from '../../vmm/vfio/open-windows.ts';
import type { OpenWindows } from '../../vmm/vfio/open-windows.ts';
import { summarise } from '../report/report.ts';
import type { Report, ReportWindow } from '../report/report.ts';
import type { HostMappingReading } from '../verify/arch/arch.ts';
import { describeWindow } from '../verify/evidence.ts';
import { belowHypervisor, insideConfidential, limitsOf } from '../verify/limits.ts';
import { expectationOf } from '../verify/plan.ts';
import { openSession, reportHead } from '../verify/session.ts';
import type { Session, SessionRequest } from '../verify/session.ts';
import { requireHarmless } from '../verify/writes.ts';
import { measure } from './measure.ts';
import type { Measured, Measurer } from './measure.ts';

export interface BenchRequest extends SessionRequest {
  /** Samples of each figure. */
  readonly runs: number;
}

/** Throws E_DEVICE_WRITES before the device is opened. */
export async function bench(port: Port, arch: KvmArchitecture, request: BenchRequest): Promise<Report> {
  return scoped(async (ends) => {
    // Before the device is opened, which resets it; and again when it is known which BAR is meant.
    requireHarmless(targetOf(port, request.choice), request.allowWrites);
    const session = openSession(port, ends, arch, request);
    requireHarmless(
      { pci: session.opened.source.pci, bars: session.opened.windows.map(({ bar }) => bar) },
      request.allowWrites,
    );
    const { verifyArch, thread, facts, opened, control, signal } = session;
    const { source, windows } = opened;
    const { stage1Types } = verifyArch.model;
    const measurer: Measurer = { port, arch, thread, facts, stage1Types, request: { ...request, signal } };
    const ofControl = await measure(measurer, control.windows, 'ordinary memory');
    const ofWindows = await measure(measurer, windows, source.kind === 'memory' ? 'memory' : 'the BAR');
    const hostMappings = verifyArch.readHostMappings(port, [opened]);
    const mappings = hostMappings.kind === 'read' ? hostMappings.windows : [];
    const platform = verifyArch.windowsPlatform(port, facts, source, windows);
    const controlPlatform = { ...verifyArch.controlPlatform(facts), mte: false };
    const measured = [
      ...measuredWindows(session, platform, opened, ofWindows, mappings),
      ...measuredWindows(session, controlPlatform, control, ofControl, []),
    ];
    const figures = [
      ...ofWindows.figures,
      ...ofControl.figures.map((figure) => Object.assign({}, figure, { window: figure.window + windows.length })),
    ];
    const head = reportHead(session, request);
    const { emulator } = head.platform;
    return {
      ...head,
      command: 'bench',
      windows: measured.map(({ window }) => window),
      checks: [],
      limits: limitsOf({
        source: source.kind,
        stage2: ofWindows.stage2,
        hostMappings,
        blindness: 'bench makes no checks, it only measures',
        unknowns: [...session.hostLimits, ...belowHypervisor(head), ...insideConfidential(head)],
      }),
      bench: {
        meaningless: meaningless(emulator, source.kind),
        runs: request.runs,
        figures: figures.map((figure) =>
          Object.assign({}, figure, { effective: measured[figure.window]?.effective.get(figure.stage1) ?? '' }),
        ),
      },
      summary: summarise([]),
    };
  });
}

interface MeasuredWindow {
  readonly window: ReportWindow;
  /** By stage-1 type. */
  readonly effective: ReadonlyMap<string, string>;
}

function measuredWindows(
  { verifyArch: { model }, pageSize }: Session,
  platform: Platform,
  { source, windows }: OpenWindows,
  { stage2, exits }: Measured,
  mappings: readonly HostMappingReading[],
): readonly MeasuredWindow[] {
  const facts = { model, source, platform, stage2, windowExits: exits, pageSize };
  return windows.map((window, index) => {
    const reported = describeWindow(facts, index, window, mappings[index]);
    const { programmed, predicted } = reported.stage2;
    const { effective } = expectationOf(model, platform, source.kind, window);
    const typeOf = (stage1: Stage1Type): string =>
      programmed === null || programmed === predicted ? effective(stage1) : 'unknown';
    return { window: reported, effective: new Map(model.stage1Types.map((stage1) => [stage1.name, typeOf(stage1)])) };
  });
}

function meaningless(emulator: string | null, source: string): string | null {
  if (emulator !== null)
    return `measured in ${emulator}, which models no caches, write buffers or buses: the figures show that the bench works, and nothing about hardware`;
  return source === 'memory'
    ? 'measured on ordinary memory instead of a BAR: the figures say nothing about a device'
    : null;
}
