import { Command } from 'commander';
import { addReportOptions, reportAction } from './report-options.ts';
import { addWindowOptions } from './options.ts';

const EXAMPLES = `
Examples:
  $ wcvmm compare --testbed arm64
  $ wcvmm compare -d 0000:01:00.0 --json compare.json

Exit code: 0 when every check matched, 1 on a mismatch, 2 when it could not run.`;

export function compareCommand(): Command {
  return addReportOptions(addWindowOptions(new Command('compare').description('Put wc, default and device side by side against stage-1 Device-nGnRnE')))
    .addHelpText('after', EXAMPLES)
    .action(reportAction('compare'));
}
