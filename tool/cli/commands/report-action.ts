/** What verify, compare and bench do: run guests here or in a testbed, then write the report. */
import type { NamedReport } from '../../report/machine.ts';
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf } from '../../report/proof.ts';
import type { Report } from '../../report/report.ts';
import { checkOutputs, loadWriters, reportPaths, writeOutputs } from './outputs.ts';
import { deviceOfSysfs } from './options.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';
import { loadRenderer, renderAs } from './report-text.ts';

export type WriteReport = (path: string, text: string) => Promise<void>;

/** Somebody else's files, which are written after the report, or instead of it. */
export interface MoreReports {
  readonly paths: readonly string[];
  /** Called with what writes them, before this process loses the right to open them. */
  readonly onWriter: (write: WriteReport) => void;
}

/** What it returns is null where the command could not run; it has said why. */
export function reportAction(
  command: ReportCommand,
  more?: MoreReports,
): (options: ReportOptions) => Promise<Report | null> {
  return async (options) => {
    await checkOutputs(options);
    const write = async (report: Report, writeReport?: WriteReport): Promise<Report> => {
      const named: readonly NamedReport[] = nameMachines([{ path: command, report }]);
      await writeOutputs(options, named, (style) => renderAs(command, report, style), writeReport);
      process.exitCode = exitCodeOf(report);
      return report;
    };
    if (options.testbed !== undefined) {
      const { runInside } = await import('./run-inside.ts');
      const done = await runInside(command, options);
      if (done.report !== null) return write(done.report);
      process.exitCode = done.code;
      return null;
    }
    const [{ runHere }, { openSandbox }, { KEPT }] = await Promise.all([
      import('./run-here.ts'),
      import('../sandbox/sandbox.ts'),
      import('../../verify/kept.ts'),
      // Nothing can be loaded after guests ran.
      loadWriters(options),
      loadRenderer(command),
    ]);
    const sandbox = await openSandbox({
      sandbox: options.sandbox,
      kept: KEPT,
      reports: [...reportPaths(options), ...(more?.paths ?? [])],
      device: deviceOfSysfs(options),
    });
    more?.onWriter(sandbox.writeReport);
    const { report } = await runHere(sandbox.port, command, options);
    return write(report, sandbox.writeReport);
  };
}
