/** A report of what was verified, with what it leaves unproven. */
import { partialCoverage, proofOf } from '../report/proof.ts';
import { summarise } from '../report/report.ts';
import type { Report } from '../report/report.ts';
import { weighed } from '../report/worth.ts';
import type { HostMappings } from './arch/arch.ts';
import { withHazards, withRules } from './flags.ts';
import { belowHypervisor, insideConfidential, limitsOf } from './limits.ts';
import { asControl, partOf } from './parts.ts';
import type { VerifiedWindows } from './parts.ts';
import { reportHead } from './session.ts';
import type { Session, SessionRequest } from './session.ts';

export interface Verified {
  readonly command: 'verify' | 'compare';
  readonly device: VerifiedWindows;
  readonly control: VerifiedWindows;
  /** Of the device's windows, then of the control's. */
  readonly hostMappings: HostMappings;
  /** Absent: bare-metal guests. */
  readonly guest?: Report['guest'];
  /** What else is not known, as sentences. */
  readonly unknowns?: readonly string[];
}

export function reportOf(session: Session, request: Pick<SessionRequest, 'asked'>, verified: Verified): Report {
  const { verifyArch, opened } = session;
  const { device, control, hostMappings, guest } = verified;
  const mappings = hostMappings.kind === 'read' ? hostMappings.windows : [];
  const head = reportHead(session, request);
  const { emulator } = head.platform;
  const shift = device.windows.length;
  const part = partOf(session, emulator, device, mappings);
  const controlPart = partOf(session, emulator, control, mappings.slice(shift));
  const checks = [...part.checks, ...controlPart.checks.map((check) => ({ ...check, window: check.window + shift }))];
  const isOpen = device.planned.some(({ prediction }) => prediction.kind === 'one-of');
  const report = weighed({
    ...head,
    ...(guest !== undefined && { guest }),
    command: verified.command,
    windows: [...part.windows, ...controlPart.windows.map(asControl)],
    checks,
    limits: [],
    summary: summarise(checks),
  });
  const limits = limitsOf({
    source: opened.source.kind,
    stage2: device.stage2,
    hostMappings,
    blindness: proofOf(report).checks.type.shown > 0 ? null : verifyArch.blindness(emulator),
    coverage: partialCoverage(report),
    unknowns: [
      ...(verified.unknowns ?? []),
      ...(isOpen ? verifyArch.unknowns(device.platform) : []),
      ...session.hostLimits,
      ...belowHypervisor(head),
      ...insideConfidential(head),
    ],
  });
  return withHazards(withRules({ ...report, limits }), session.hazards);
}
