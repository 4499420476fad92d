/** What verify, compare and bench do: run guests here or in a testbed, then write the report. */
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf } from '../../report/proof.ts';
import type { Report } from '../../report/report.ts';
import { checkOutputs, writeOutputs } from './outputs.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';
import { renderAs } from './report-text.ts';

/** What it returns is null where the command could not run; it has said why. */
export function reportAction(command: ReportCommand): (options: ReportOptions) => Promise<Report | null> {
  return async (options) => {
    await checkOutputs(options);
    const run =
      options.testbed === undefined
        ? (await import('./run-here.ts')).runHere
        : (await import('./run-inside.ts')).runInside;
    const done = await run(command, options);
    if (done.report === null) {
      process.exitCode = done.code;
      return null;
    }
    const { report } = done;
    await writeOutputs(options, nameMachines([{ path: command, report }]), (style) => renderAs(command, report, style));
    process.exitCode = exitCodeOf(report);
    return report;
  };
}
