/** What was observed in some windows, as a report has it. */
import type { Platform } from '../../memattr/index.ts';
import type { OpenWindow } from '../../vmm/vfio/open-windows.ts';
import type { BarSource } from '../../vmm/vfio/source.ts';
import type { Check, ReportWindow, Touched, TouchedBy } from '../report/report.ts';
import type { HostMappingReading } from './arch/arch.ts';
import { TOUCHED_BYTES } from './contents.ts';
import { coverageOf } from './coverage.ts';
import { checkOf, describeWindow, inOrder } from './evidence.ts';
import type { PlannedCheck } from './plan.ts';
import type { Observations } from './run-checks.ts';
import type { Session } from './session.ts';

export interface VerifiedWindows extends Observations {
  readonly source: Pick<BarSource, 'kind'>;
  readonly windows: readonly OpenWindow[];
  /** How each window is touched. */
  readonly by: readonly TouchedBy[];
  readonly platform: Platform;
  readonly planned: readonly PlannedCheck[];
}

/** A window that is wrong throughout needs no check of each page in its report: coverage counts them. */
const MOST_WRONG_PAGES = 64;
const MOST_OFFSETS = 256;

/** Of pages beside the first, only what loads touch. */
function touchedIn({ offset }: OpenWindow, by: TouchedBy, pages: readonly Check[]): Touched {
  const offsets = pages.map((page) => Number(offset) + (page.offset ?? 0));
  return { by, offsets: [Number(offset), ...offsets].slice(0, MOST_OFFSETS), bytes: TOUCHED_BYTES[by] };
}

export function asControl(window: ReportWindow): ReportWindow {
  return { ...window, control: true };
}

/** @param mappings of the windows, as far as they were read */
export function partOf(
  { verifyArch: { model }, facts: { ticksPerSecond }, pageSize }: Pick<Session, 'verifyArch' | 'facts' | 'pageSize'>,
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
