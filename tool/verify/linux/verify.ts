/**
 * A verification by a Linux guest: stock Linux has the device passed through, as `wcvmm run --kernel` does it, and a program
 * in it maps the BARs by sysfs. Its answers stand beside the prediction and what KVM programmed, as a bare guest's do.
 */
import type { Platform } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { scoped } from '../../../common/scope.ts';
import type { KvmArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import type { LinuxKernel } from '../../../vmm/machines/linux-arch.ts';
import { formatSize } from '../../../vmm/memory/index.ts';
import type { MapRequest } from '../../../vmm/memory/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { GuestDevice } from '../../../vmm/vfio/guest-devices.ts';
import type { OpenWindow } from '../../../vmm/vfio/open-windows.ts';
import type { Report } from '../../report/report.ts';
import { reportOf } from '../assemble.ts';
import { touchedBy } from '../contents.ts';
import { replacePredictions } from '../override.ts';
import type { PredictionOverride } from '../override.ts';
import type { HostMappings } from '../arch/arch.ts';
import type { VerifiedWindows } from '../parts.ts';
import type { PlannedCheck } from '../plan.ts';
import { memtypesOf, parseMemtypeList } from '../read-back/memtype-list.ts';
import { inRuns, observedIn, together } from '../run-checks.ts';
import type { ObservedCheck } from '../run-checks.ts';
import { VcpuThread } from '../../../vmm/kvm/vcpu-thread.ts';
import { openSession } from '../session.ts';
import type { Session, SessionRequest } from '../session.ts';
import { filesOf, linuxCellOf, linuxObservation, planLinux, planLinuxControl, planLinuxPages } from './plan.ts';
import type { LinuxPlan } from './plan.ts';
import { askLinux } from './run.ts';
import type { LinuxGuest, LinuxRun } from './run.ts';

export interface LinuxVerifyRequest extends Omit<SessionRequest, 'image'> {
  readonly command: 'verify' | 'compare';
  readonly kernel: LinuxKernel;
  /** /init. */
  readonly program: Uint8Array;
  readonly overrides: readonly PredictionOverride[];
  /** As in VerifyRequest. */
  readonly whole: boolean;
}

/** Throws E_USAGE for windows that a Linux guest cannot be given, and as openSession and askLinux do. */
export async function verifyLinux(port: Port, arch: KvmArchitecture, request: LinuxVerifyRequest): Promise<Report> {
  const source = sourceOf(request);
  return scoped(async (ends) => {
    const session = openSession(port, ends, arch, request);
    // A Linux guest has devices that the main thread serves while the guest runs.
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const { verifyArch, facts, opened, pageSize } = session;
    const { model } = verifyArch;
    const platform = verifyArch.windowsPlatform(port, facts, opened.source, opened.windows);
    const controlPlatform = { ...verifyArch.controlPlatform(facts), mte: false };
    const by = opened.windows.map((window) => touchedBy(port, opened.source, window, request.allowWrites));
    const prefetchable = opened.windows.map(({ bar }) => opened.source.pci?.bars[bar]?.prefetchable === true);
    const plan: LinuxPlan = { model, platform, source, windows: opened.windows, by, prefetchable };
    const predicted = planLinux(plan);
    const first = replacePredictions(predicted, request.overrides);
    const planned = [...first, ...planLinuxPages(plan, predicted, pageSize, request.whole)];
    const ofControl = planLinuxControl(model, controlPlatform);
    const control = controlWindow(session);
    const asked = await ask(
      { ...session, thread },
      request,
      [...planned, ...shifted(ofControl, opened.windows.length)],
      control,
    );
    const [run] = asked.runs;
    const verified = (
      windows: readonly OpenWindow[],
      of: Pick<VerifiedWindows, 'observed' | 'stage2' | 'planned' | 'source'>,
      on: Platform,
    ): VerifiedWindows => ({
      ...of,
      windows,
      platform: on,
      by: windows.map((_, index) => by[index] ?? 'loads'),
      windowExits: windows.map(() => 0),
    });
    const isControl = ({ check }: ObservedCheck): boolean => check.window === opened.windows.length;
    const report = reportOf(session, request, {
      command: request.command,
      device: verified(
        opened.windows,
        {
          source: opened.source,
          planned,
          observed: asked.observed.filter((one) => !isControl(one)),
          stage2: together(asked.runs.map(({ stage2 }) => stage2)),
        },
        platform,
      ),
      control: {
        ...verified(
          [control],
          {
            source: { kind: 'memory' },
            planned: ofControl,
            observed: asked.observed.filter(isControl).map(inFirstWindow),
            stage2: together(asked.runs.map(({ controlStage2 }) => controlStage2)),
          },
          controlPlatform,
        ),
        by: ['loads'],
      },
      hostMappings: hostLoadsOf(session) ?? run?.hostMappings ?? { kind: 'unavailable', why: 'no guest ran' },
      guest: {
        kind: 'linux',
        kernel: run?.log.release ?? 'unknown',
        initSeconds: Number((run?.log.bootNs ?? 0n) / 1_000_000n) / 1000,
        files: filesOf(model).map(({ stage1, file }) => ({ stage1: stage1.name, file })),
      },
      unknowns: unprefetchable(opened.windows, prefetchable),
    });
    return withGuestTypes(report, opened.windows, run);
  });
}

/** Made before the guest ran, of the windows alone: the session's control is not the guest's memory. */
function hostLoadsOf({ hostLoads, opened }: Session): HostMappings | null {
  return hostLoads?.kind === 'read'
    ? { kind: 'read', windows: hostLoads.windows.slice(0, opened.windows.length) }
    : hostLoads;
}

/** The guest has the device itself: what stands in for one, and a BAR without one, it cannot have. */
function sourceOf({ choice }: LinuxVerifyRequest): 'cookie' | 'legacy' {
  const { source, enforce } = choice;
  if (enforce)
    throw new WcvmmError(
      'E_USAGE',
      '--enforce is for bare-metal guests here; leave it out, or leave out --guest linux.',
    );
  if (source === 'cookie' || source === 'legacy') return source;
  throw new WcvmmError(
    'E_USAGE',
    `--guest linux passes a device through VFIO, and --source ${source} has none; expected --source cookie or legacy.`,
  );
}

/** A page of guest RAM, as a window. */
function controlWindow({ control, pageSize }: Session): OpenWindow {
  const [window] = control.windows;
  if (window === undefined) throw new RangeError('a session without a control');
  return { ...window, length: BigInt(pageSize) };
}

function inFirstWindow({ check, observation, busLocks }: ObservedCheck): ObservedCheck {
  return { check: { ...check, window: 0 }, observation, busLocks };
}

function shifted(checks: readonly PlannedCheck[], by: number): readonly PlannedCheck[] {
  return checks.map((check) => ({ ...check, window: check.window + by }));
}

interface Asked {
  readonly observed: readonly ObservedCheck[];
  readonly runs: readonly LinuxRun[];
}

async function ask(
  { port, arch, thread, verifyArch, opened, signal }: Session & { readonly thread: VcpuThread },
  { kernel, program, timeoutMs, onConsole, onPhase, onProgress }: LinuxVerifyRequest,
  checks: readonly PlannedCheck[],
  control: OpenWindow,
): Promise<Asked> {
  const { model } = verifyArch;
  const { device } = opened.source;
  if (device === null) throw new RangeError('a source without a VFIO device');
  const passed: GuestDevice = { source: { ...opened.source, device }, maps: opened.windows.map(requestOf) };
  const guest: LinuxGuest = {
    port,
    arch: arch.name,
    thread,
    kernel,
    program,
    device: passed,
    windows: opened.windows,
    control,
    pages: checks.length,
    readHostMappings: (mapped) => verifyArch.readHostMappings(port, mapped),
    timeoutMs,
    ...(onConsole && { onConsole }),
    signal,
  };
  onPhase?.('booting a Linux guest');
  return inRuns(
    checks,
    async (some) => {
      const run = await askLinux(
        guest,
        some.map((check) => linuxCellOf(model, check)),
      );
      const observed = observedIn(some, {
        failure: run.failure,
        killed: run.killed,
        log: run.log.bytes,
        observation: (record) => {
          const check = some[record.cell];
          const bar = opened.windows[check?.window ?? 0]?.bar ?? 0;
          return linuxObservation(record, bar, check?.stage1.name === model.combiningType);
        },
      });
      return { ...run, observed };
    },
    onProgress,
  );
}

function requestOf({ bar, offset, length, attribute }: OpenWindow): MapRequest {
  const text = `bar${bar}:${formatSize(offset)}-${formatSize(offset + length)}=${attribute}`;
  return { bar, start: offset, end: offset + length, attribute, text };
}

function unprefetchable(windows: readonly OpenWindow[], prefetchable: readonly boolean[]): readonly string[] {
  const bars = [...new Set(windows.filter((_, index) => prefetchable[index] !== true).map(({ bar }) => bar))];
  return bars.map(
    (bar) =>
      `BAR ${bar} is not prefetchable, so Linux has no resource${bar}_wc: the guest asked for no write-combining there`,
  );
}

/** What the guest's own drivers had on record for each window before the program mapped anything. */
function withGuestTypes(report: Report, windows: readonly OpenWindow[], run: LinuxRun | undefined): Report {
  if (run === undefined || run.log.memtypes === '') return report;
  const list = parsed(run.log.memtypes);
  return {
    ...report,
    windows: report.windows.map((window, index) => {
      const [at, open] = [run.placed[index] ?? null, windows[index]];
      if (at === null || open === undefined) return window;
      const guestTypes = memtypesOf(list, at, open.length);
      return guestTypes.length === 0 ? window : { ...window, guestTypes: [...guestTypes] };
    }),
  };
}

function parsed(text: string): ReturnType<typeof parseMemtypeList> {
  try {
    return parseMemtypeList(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the Linux guest's list of memory types cannot be believed: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}
