/**
 * A whole verification: windows are opened, guests run their probes, KVM is read back, and memattr's prediction stands
 * beside both. A control comes first: the same guest on ordinary memory, in a VM that has MTE if KVM has it.
 */
import type { Platform } from '../../memattr/index.ts';
import { scoped } from '../../common/scope.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { OpenWindow, OpenWindows } from '../../vmm/vfio/open-windows.ts';
import { partialCoverage, proofOf } from '../report/proof.ts';
import { summarise } from '../report/report.ts';
import type { Check, Report, ReportWindow, Touched, TouchedBy } from '../report/report.ts';
import { weighed } from '../report/worth.ts';
import type { HostMappingReading } from './arch/arch.ts';
import { TOUCHED_BYTES, touchedBy } from './contents.ts';
import { coverageOf, otherPages, pageChecks } from './coverage.ts';
import { checkOf, describeWindow, inOrder } from './evidence.ts';
import { belowHypervisor, limitsOf } from './limits.ts';
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
  /** Touch every page of each window; otherwise the first, the last and a few between. */
  readonly whole: boolean;
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
    const head = reportHead(session, request);
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
      coverage: partialCoverage(report),
      unknowns: [
        ...(isOpen ? verifyArch.unknowns(platform) : []),
        ...verifyArch.hostLimits(port),
        ...belowHypervisor(head),
      ],
    });
    return { ...report, limits };
  });
}

/** A window that is wrong throughout needs no check of each page in its report: coverage counts them. */
const MOST_WRONG_PAGES = 64;
const MOST_OFFSETS = 256;

/** Of pages beside the first, only what loads touch. */
function touchedIn({ offset }: OpenWindow, by: TouchedBy, pages: readonly Check[]): Touched {
  const offsets = pages.map((page) => Number(offset) + (page.offset ?? 0));
  return { by, offsets: [Number(offset), ...offsets].slice(0, MOST_OFFSETS), bytes: TOUCHED_BYTES[by] };
}

function asControl(window: ReportWindow): ReportWindow {
  return { ...window, control: true };
}

async function runOn(
  { port, arch, verifyArch, thread, pageSize }: Session,
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
  const first = what === 'device' ? replacePredictions(predicted, overrides) : predicted;
  const planned = first.concat(
    windows.flatMap((window, index) => {
      const whole = request.whole && what === 'device';
      const offsets = window.access === 'mapped' ? otherPages(window.length, pageSize, whole) : [];
      return pageChecks(
        model,
        predicted.filter((check) => check.window === index),
        offsets,
      );
    }),
  );
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
  const described = verified.windows.map((window, index) =>
    describeWindow({ ...verified, model, pageSize }, index, window, mappings[index]),
  );
  const facts = { model, platform, ticksPerSecond, emulator };
  const checks = verified.observed.map((one) =>
    checkOf(facts, one, described[one.check.window]?.stage2.programmed ?? null),
  );
  const ofPages = checks.filter(({ offset }) => offset !== undefined);
  const windows = verified.windows.flatMap((window, index): ReportWindow[] => {
    const known = described[index];
    const pages = ofPages.filter((check) => check.window === index);
    const touched = touchedIn(window, verified.by[index] ?? 'loads', pages);
    return known ? [{ ...known, coverage: coverageOf(window, pages, verified.stage2, pageSize), touched }] : [];
  });
  const wrongPages = ofPages.filter(({ verdict }) => verdict === 'mismatch').slice(0, MOST_WRONG_PAGES);
  return {
    windows,
    checks: inOrder(
      checks.filter(({ offset }) => offset === undefined).concat(wrongPages),
      // A check of another page comes right after that of the first.
      verified.planned
        .filter(({ offset }) => offset === 0n)
        .map(({ window, stage1, probe }) => `${window} ${stage1.name} ${probe}`),
    ),
  };
}
