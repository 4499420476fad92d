/** What a report says of its machine and windows that machines of one kind should have alike. */
import type { Report, ReportWindow } from '../report/report.ts';
import { isControl } from '../report/report.ts';

/** A name and what the report says; the names are those of a table's columns. */
export type Facts = Readonly<Record<string, string>>;

const NOT_SAID = 'not known';

export function factsOf(report: Report): Facts {
  const { platform, origin, device } = report;
  return {
    machine: origin?.machine ?? NOT_SAID,
    firmware: origin?.firmware ?? NOT_SAID,
    cpu: origin?.cpu.model ?? NOT_SAID,
    stepping: origin?.cpu.stepping ?? NOT_SAID,
    microcode: origin?.cpu.microcode ?? NOT_SAID,
    kernel: platform.kernel,
    emulator: platform.emulator ?? 'none',
    cookies: platform.cookies ? 'yes' : 'no',
    device: `${device.id ?? 'none'} by ${device.source}`,
    ...windowFacts(report),
    wcvmm: origin?.wcvmm ?? NOT_SAID,
  };
}

/** By attribute: windows of one attribute that became different things are all named. */
function windowFacts(report: Report): Facts {
  const found = new Map<string, Set<string>>();
  for (const window of deviceWindows(report)) {
    const of = found.get(window.attribute) ?? new Set();
    found.set(window.attribute, of.add(stage2Text(window)));
  }
  return Object.fromEntries(
    [...found].toSorted().map(([attribute, types]) => [`stage 2 of ${attribute}`, [...types].join(', ')]),
  );
}

export function stage2Text({ stage2 }: ReportWindow): string {
  return stage2.programmed ?? `${stage2.predicted} (predicted)`;
}

export function deviceWindows(report: Report): readonly ReportWindow[] {
  return report.windows.filter((window) => !isControl(report, window));
}

/** The facts that are not the same, as `microcode 0x1 (others 0x2)`. */
export function differences(facts: Facts, usual: Facts): readonly string[] {
  return [...new Set([...Object.keys(usual), ...Object.keys(facts)])]
    .filter((name) => facts[name] !== usual[name])
    .map((name) => `${name} ${facts[name] ?? NOT_SAID} (others ${usual[name] ?? NOT_SAID})`);
}
