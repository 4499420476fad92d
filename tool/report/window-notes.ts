/** What stands under the table of windows: how a window that stage 2 does not keep strict was reached, or could be relaxed. */
import type { Check, Report, ReportWindow } from './report.ts';
import { type Style, wrap } from '../../common/terminal.ts';

/** @param order indexes of the windows that the table shows */
export function windowNotes({ windows }: Report, style: Style, order: readonly number[]): string[] {
  return order.flatMap((index) => {
    const note = noteOf(windows[index]);
    return note === null ? [] : wrap(`  ${index}  `, note, style.columns);
  });
}

function noteOf(window: ReportWindow | undefined): string | null {
  if (window === undefined) return null;
  const { attribute, trapped, hostVma, strictness, source } = window;
  if (trapped !== undefined) {
    return `trapped by --enforce: no memslot; each of ${trapped.exits} accesses was an exit, and the VMM made it on its own mapping (${hostVma.programmed ?? hostVma.predicted})`;
  }
  // Ordinary memory in a device's place is never strict, and nobody asked that of it.
  if (attribute !== 'device' || source === 'memory' || strictness === undefined || strictness.strict) return null;
  return `not strict: ${strictness.why}. With --enforce it is, at the cost of an exit per access`;
}

/** Empty where KVM tells of no bus locks, or nobody asked it to. */
export function busLockLines({ checks }: Report, style: Style): string[] {
  const told = checks.filter(({ busLocks }) => busLocks !== undefined);
  if (told.length === 0) return [];
  const counts = new Map<Check['probe'], number>();
  for (const { probe, busLocks = 0 } of told) if (busLocks > 0) counts.set(probe, (counts.get(probe) ?? 0) + busLocks);
  const list = [...counts].map(([probe, count]) => `${count} in ${probe}`);
  return wrap(
    '  bus locks  ',
    list.length === 0 ? 'KVM told of none' : `as KVM told: ${list.join(', ')}`,
    style.columns,
  );
}
