/**
 * A whole verification: windows are opened, guests run their probes, KVM is read back, and memattr's prediction stands
 * beside both. A control comes first: the same guest on ordinary memory, in a VM that has MTE if KVM has it.
 */
import type { Platform } from '../../memattr/index.ts';
import { scoped } from '../../common/scope.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { OpenWindows } from '../../vmm/vfio/open-windows.ts';
import type { Report } from '../report/report.ts';
import { reportOf } from './assemble.ts';
import type { Recording } from './arch/arch.ts';
import { touchedBy } from './contents.ts';
import { otherPages, pageChecks } from './coverage.ts';
import { emulatorHere } from './emulator.ts';
import { bareMachine } from './guest/places.ts';
import { replacePredictions } from './override.ts';
import type { PredictionOverride } from './override.ts';
import type { VerifiedWindows } from './parts.ts';
import { planChecks } from './plan.ts';
import { runChecks } from './run-checks.ts';
import { openSession } from './session.ts';
import type { Session, SessionRequest } from './session.ts';

export interface VerifyRequest extends SessionRequest {
  readonly command: 'verify' | 'compare';
  readonly overrides: readonly PredictionOverride[];
  /** Touch every page of each window; otherwise the first, the last and a few between. */
  readonly whole: boolean;
}

export async function verify(port: Port, arch: KvmArchitecture, request: VerifyRequest): Promise<Report> {
  return scoped(async (ends) => {
    const session = openSession(port, ends, arch, request);
    const { verifyArch, facts, opened, control } = session;
    const { source, windows } = opened;
    const recording = verifyArch.recordAccesses(port, ends.inner(), facts, opened);
    const verifiedControl = await runOn(session, request, control, verifyArch.controlPlatform(facts), 'control');
    const platform = verifyArch.windowsPlatform(port, facts, source, windows);
    const verified = await runOn(session, request, opened, platform, 'device', recording);
    const hostMappings = session.hostLoads ?? verifyArch.readHostMappings(port, [opened, control]);
    return reportOf(session, request, {
      command: request.command,
      device: verified,
      control: verifiedControl,
      hostMappings,
      unknowns: unrecorded(recording, session),
    });
  });
}

/** An emulator has no such thing, and nobody expects it there. */
function unrecorded(recording: Recording | null, { port }: Session): readonly string[] {
  return recording?.kind === 'unavailable' && emulatorHere(port) === null
    ? [`what the CPU records of accesses (AMD's IBS) was not read: ${recording.why}`]
    : [];
}

async function runOn(
  { port, arch, verifyArch, thread, facts, pageSize, deviceState, signal }: Session,
  request: VerifyRequest,
  opened: OpenWindows,
  platform: Platform,
  what: 'control' | 'device',
  recording: Recording | null = null,
): Promise<VerifiedWindows> {
  const { source, windows } = opened;
  const { image, timeoutMs, onConsole, onPhase, onProgress, overrides } = request;
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
    machine: () => bareMachine(arch.name, opened, deviceState()),
    mte: platform.mte,
    translates: facts.translates === true,
    ...(recording?.kind === 'recorded' && { recorder: recording.recorder }),
    timeoutMs,
    ...(onProgress && { onProgress }),
    ...(onConsole && { onConsole }),
    signal,
  };
  return { ...opened, ...(await runChecks(setup, planned)), platform, planned, by };
}
