/** What verify, compare and bench do: run guests here or in a testbed, then write the report. */
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf } from '../../report/proof.ts';
import { checkOutputs, writeOutputs } from './outputs.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';
import { renderAs } from './report-text.ts';

export function reportAction(command: ReportCommand): (options: ReportOptions) => Promise<void> {
  return async (options) => {
    await checkOutputs(options);
    const run =
      options.testbed === undefined
        ? (await import('./run-here.ts')).runHere
        : (await import('./run-inside.ts')).runInside;
    const done = await run(command, options);
    if (done.report === null) {
      process.exitCode = done.code;
      return;
    }
    const { report } = done;
    await writeOutputs(options, nameMachines([{ path: command, report }]), (style) => renderAs(command, report, style));
    process.exitCode = exitCodeOf(report);
  };
}
