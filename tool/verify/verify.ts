/**
 * A whole verification: windows are opened, guests run their probes, KVM is read back, and memattr's prediction stands
 * beside both. A control comes first: the same guest on ordinary memory, in a VM that has MTE if KVM has it.
 */
import type { Platform } from '../../memattr/index.ts';
import { scoped } from '../../common/scope.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { OpenWindow, OpenWindows } from '../../vmm/vfio/open-windows.ts';
import { proofOf } from '../report/proof.ts';
import { summarise } from '../report/report.ts';
import type { Check, Report, ReportWindow, Touched, TouchedBy } from '../report/report.ts';
import { weighed } from '../report/worth.ts';
import type { HostMappingReading } from './arch/arch.ts';
import { TOUCHED_BYTES, touchedBy } from './contents.ts';
import { checkOf, describeWindow, inOrder } from './evidence.ts';
import { limitsOf } from './limits.ts';
import { replacePredictions } from './override.ts';
import type { PredictionOverride } from './override.ts';
import { planChecks } from './plan.ts';
import type { PlannedCheck } from './plan.ts';
import { runChecks } from './run-checks.ts';
import type { Observations } from './run-checks.ts';
import { openSession, reportHead } from './session.ts';
import type { Session, SessionRequest } from './session.ts';

export interface VerifyRequest extends SessionRequest {
  readonly command: 'verify' | 'compare';
  readonly overrides: readonly PredictionOverride[];
}

/** What was observed in some windows. */
interface VerifiedWindows extends OpenWindows, Observations {
  /** How each window is touched. */
  readonly by: readonly TouchedBy[];
  readonly platform: Platform;
  readonly planned: readonly PlannedCheck[];
}

export async function verify(port: Port, arch: KvmArchitecture, request: VerifyRequest): Promise<Report> {
  return scoped(async (ends) => {
    const session = openSession(port, ends, arch, request.choice);
    const { verifyArch, facts, opened, control } = session;
    const { source, windows } = opened;
    const verifiedControl = await runOn(session, request, control, verifyArch.controlPlatform(facts), 'control');
    const platform = verifyArch.windowsPlatform(port, facts, source, windows);
    const verified = await runOn(session, request, opened, platform, 'device');
    const hostMappings = verifyArch.readHostMappings(port, [opened, control]);
    const mappings = hostMappings.kind === 'read' ? hostMappings.windows : [];
    const head = reportHead(session);
    const { emulator } = head.platform;
    const shift = windows.length;
    const part = partOf(session, emulator, verified, mappings);
    const controlPart = partOf(session, emulator, verifiedControl, mappings.slice(shift));
    const checks = [...part.checks, ...controlPart.checks.map((check) => ({ ...check, window: check.window + shift }))];
    const isOpen = verified.planned.some(({ prediction }) => prediction.kind === 'one-of');
    const report = weighed({
      ...head,
      command: request.command,
      windows: [...part.windows, ...controlPart.windows.map(asControl)],
      checks,
      limits: [],
      summary: summarise(checks),
    });
    const limits = limitsOf({
      source: source.kind,
      stage2: verified.stage2,
      hostMappings,
      blindness: proofOf(report).checks.type.shown > 0 ? null : verifyArch.blindness(emulator),
      unknowns: [...(isOpen ? verifyArch.unknowns(platform) : []), ...verifyArch.hostLimits(port)],
    });
    return { ...report, limits };
  });
}

function touchedIn({ offset }: OpenWindow, by: TouchedBy): Touched {
  return { by, offsets: [Number(offset)], bytes: TOUCHED_BYTES[by] };
}

function asControl(window: ReportWindow): ReportWindow {
  return { ...window, control: true };
}

async function runOn(
  { port, arch, verifyArch, thread }: Session,
  request: VerifyRequest,
  opened: OpenWindows,
  platform: Platform,
  what: 'control' | 'device',
): Promise<VerifiedWindows> {
  const { source, windows } = opened;
  const { image, timeoutMs, onConsole, onPhase, onProgress, signal, overrides } = request;
  const { model } = verifyArch;
  const by = windows.map((window) => touchedBy(port, source, window, request.allowWrites));
  const plannedWindows = windows.map(({ attribute, access }, index) => ({
    attribute,
    access,
    by: by[index] ?? 'loads',
  }));
  const predicted = planChecks(model, platform, source.kind, plannedWindows, verifyArch.stage1Types(platform));
  const planned = what === 'device' ? replacePredictions(predicted, overrides) : predicted;
  onPhase?.(
    what === 'control'
      ? 'running the control guest on ordinary memory'
      : `running guests on the ${source.kind === 'memory' ? 'memory' : 'BAR'}`,
  );
  const setup = {
    port,
    arch,
    thread,
    image,
    windows,
    mte: platform.mte,
    timeoutMs,
    ...(onProgress && { onProgress }),
    ...(onConsole && { onConsole }),
    ...(signal && { signal }),
  };
  return { ...opened, ...(await runChecks(setup, planned)), platform, planned, by };
}

function partOf(
  { verifyArch: { model }, facts: { ticksPerSecond }, pageSize }: Session,
  emulator: string | null,
  verified: VerifiedWindows,
  mappings: readonly HostMappingReading[],
): { readonly windows: readonly ReportWindow[]; readonly checks: readonly Check[] } {
  const { platform } = verified;
  const windows = verified.windows.map((window, index) => ({
    ...describeWindow({ ...verified, model, pageSize }, index, window, mappings[index]),
    touched: touchedIn(window, verified.by[index] ?? 'loads'),
  }));
  const facts = { model, platform, ticksPerSecond, emulator };
  const checks = verified.observed.map((one) =>
    checkOf(facts, one, windows[one.check.window]?.stage2.programmed ?? null),
  );
  return {
    windows,
    checks: inOrder(
      checks,
      verified.planned.map(({ window, stage1, probe }) => `${window} ${stage1.name} ${probe}`),
    ),
  };
}
