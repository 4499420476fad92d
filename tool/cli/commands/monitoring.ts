/** --prom and --nfd: what a verification found, for monitoring; written also when it failed. */
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { statOrNull } from '../../../common/files.ts';
import type { Report } from '../../report/report.ts';
import type { MoreReports, WriteReport } from './report-action.ts';

export interface MonitoringOptions {
  readonly prom?: string;
  readonly nfd?: string;
}

export function addMonitoringOptions(command: Command): Command {
  return command
    .option('--prom <file>', "also write gauges for node_exporter's textfile collector, as in wcvmm.prom")
    .option('--nfd <file>', "also write labels for Node Feature Discovery's local source");
}

/**
 * Makes a report and writes what it comes to. An error replaces the last result too, before it is thrown again.
 *
 * @param make null: it could not run, and has said why
 */
export async function monitored(
  { prom, nfd }: MonitoringOptions,
  make: (more?: MoreReports) => Promise<Report | null>,
): Promise<void> {
  if (prom === undefined && nfd === undefined) {
    await make();
    return;
  }
  await requireFolder('--prom', prom);
  await requireFolder('--nfd', nfd);
  // Nothing can be loaded after guests ran.
  const [{ formatFeatureLabels, formatPrometheus }, { writeWhole }] = await Promise.all([
    import('../../report/monitoring.ts'),
    import('../../report/json.ts'),
  ]);
  let writeReport: WriteReport = writeWhole;
  const more: MoreReports = {
    paths: [prom, nfd].filter((path) => path !== undefined),
    onWriter: (write) => void (writeReport = write),
  };
  const write = async (found: { report: Report } | { report: null; error: string }): Promise<void> => {
    const verification = { ...found, time: new Date() };
    if (prom !== undefined) await writeReport(prom, formatPrometheus(verification));
    if (nfd !== undefined) await writeReport(nfd, formatFeatureLabels(verification));
  };
  let report: Report | null;
  try {
    report = await make(more);
  } catch (error) {
    await write({ report: null, error: error instanceof WcvmmError ? error.code : 'E_SYSCALL' });
    throw error;
  }
  await write(report === null ? { report: null, error: 'E_TESTBED' } : { report });
}

async function requireFolder(option: string, path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const folder = dirname(resolve(path));
  if (statOrNull(folder)?.isDirectory() !== true)
    throw new WcvmmError(
      'E_REPORT',
      `${option} ${path} cannot be written: the folder ${folder} does not exist. Create it, or name another.`,
    );
}
