import { Command } from 'commander';
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf } from '../../report/proof.ts';
import { addOutputOptions, checkOutputs, writeOutputs } from './outputs.ts';
import type { OutputOptions } from './outputs.ts';
import { renderAs } from './report-text.ts';

const EXAMPLES = `
Examples:
  $ wcvmm report report.json
  $ wcvmm report report.json --html report.html --junit report.xml
  $ wcvmm verify --testbed arm64 --json - | wcvmm report - --tap -

Exit code: that of the run that wrote the report: 0, 1 on a mismatch, 3 when of some
window nothing shows the memory type. 2 when it cannot be read.`;

/** `wcvmm report`: a report of verify, compare or bench, shown again or converted. */
export function reportCommand(): Command {
  return addOutputOptions(
    new Command('report')
      .description('Show a report that was written with --json, or convert it to another format')
      .argument('<file>', 'a report ("-" = standard input)'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: OutputOptions) => {
      await checkOutputs(options);
      const { readReport } = await import('../../report/read.ts');
      const report = await readReport(path);
      await writeOutputs(options, nameMachines([{ path, report }]), (style) => renderAs(report.command, report, style));
      process.exitCode = exitCodeOf(report);
    });
}
