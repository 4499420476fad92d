/** The notes below the table of windows: which are trapped, and why one is not strict. */
import { formatSize } from '../../common/size.ts';
import type { Check, Report, ReportWindow } from './report.ts';
import { type Style, wrap } from '../../common/terminal.ts';

/** @param order indexes of the windows that the table shows */
export function windowNotes({ windows }: Report, style: Style, order: readonly number[]): string[] {
  return order.flatMap((index) => {
    const window = windows[index];
    return [noteOf(window), hazardNote(window), touchedNote(window), guestTypesNote(window)].flatMap((note) =>
      note === null ? [] : wrap(`  ${index}  `, note, style.columns),
    );
  });
}

function noteOf(window: ReportWindow | undefined): string | null {
  if (window === undefined) return null;
  const { attribute, trapped, hostVma, strictness, source } = window;
  if (trapped !== undefined) {
    return `trapped by --enforce: no memslot; each of ${trapped.exits} accesses exited to the VMM, which performed it on its own mapping (${hostVma.programmed ?? hostVma.predicted})`;
  }
  // Ordinary memory instead of a device is never strict, and need not be.
  if (attribute !== 'device' || source === 'memory' || strictness === undefined || strictness.strict) return null;
  return `not strict: ${strictness.why}. With --enforce it is, at the cost of an exit per access`;
}

/** What a driver of a Linux guest asked for, before the guest's program did. */
function guestTypesNote(window: ReportWindow | undefined): string | null {
  if (window?.guestTypes === undefined || window.guestTypes.length === 0) return null;
  return `the guest's own drivers have mapped some of it as ${window.guestTypes.join(', ')}, by the guest's list of memory types`;
}

/** Said in full below the windows. */
function hazardNote(window: ReportWindow | undefined): string | null {
  const ids = window?.hazards ?? [];
  return ids.length === 0 ? null : `! of a type that does harm on this silicon: ${ids.join(', ')}`;
}

/** Of a window that is not known to be memory: what was done to it. */
function touchedNote(window: ReportWindow | undefined): string | null {
  if (window?.touched === undefined || window.touched.by === 'memory' || window.source === 'memory') return null;
  const { by, offsets, bytes } = window.touched;
  const where = `${bytes} bytes from ${offsets.map((offset) => `+${formatSize(BigInt(offset))}`).join(', ')}`;
  return by === 'loads'
    ? `not known to be memory: only loads, of at most ${where}; no data was expected back. A register with a side effect of being read has had it; --map limits what is read, --allow-writes adds stores`
    : `does not behave as memory: loads and stores, of at most ${where}; no data was expected back`;
}

/** Empty where KVM was not asked to report bus locks, or cannot. */
export function busLockLines({ checks }: Report, style: Style): string[] {
  const reported = checks.filter(({ busLocks }) => busLocks !== undefined);
  if (reported.length === 0) return [];
  const counts = new Map<Check['probe'], number>();
  for (const { probe, busLocks = 0 } of reported)
    if (busLocks > 0) counts.set(probe, (counts.get(probe) ?? 0) + busLocks);
  const list = [...counts].map(([probe, count]) => `${count} in ${probe}`);
  return wrap(
    '  bus locks  ',
    list.length === 0 ? 'KVM reported none' : `reported by KVM: ${list.join(', ')}`,
    style.columns,
  );
}
