import { Command } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { FORMAT_NAMES } from '../../report/formats.ts';
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf, worstOf } from '../../report/proof.ts';
import { addWindowOptions } from './options.ts';
import { checkOutputs, writeOutputs } from './outputs.ts';
import type { OutputOptions } from './outputs.ts';
import { reportAction } from './report-action.ts';
import { addReportOptions } from './report-options.ts';
import type { ReportOptions } from './report-options.ts';

const EXAMPLES = `
Examples:
  $ wcvmm compare --testbed arm64
  $ wcvmm compare -d 0000:01:00.0 --json compare.json
  $ wcvmm compare graviton.json epyc.json xeon.json      reports of three machines, side by side
  $ wcvmm compare before.json after.json --html machines.html

Exit code: 0 when nothing contradicts the model and each window's type was read back or observed, 1 on a mismatch, 2 when
it could not run, 3 when of some window nothing shows the type. With reports: the worst of theirs (2, 1, 3, 0); a
difference between machines is not a mismatch.`;

export function compareCommand(): Command {
  const command = new Command('compare')
    .description('Compare wc, default and device under stage-1 Device-nGnRnE, or reports of several machines')
    .argument('[reports...]', 'reports that verify, compare or bench wrote with --json; nothing is run then');
  return addReportOptions(addWindowOptions(command))
    .addHelpText('after', EXAMPLES)
    .action(async (paths: readonly string[], options: ReportOptions) => {
      if (paths.length === 0) return reportAction('compare')(options);
      return compareFiles(paths, options, runOnly(command));
    });
}

/** The options that were given and choose what to run: they have no effect where nothing is run. */
function runOnly(command: Command): readonly string[] {
  const outputs = new Set<string>(FORMAT_NAMES);
  return command.options
    .filter(
      (option) =>
        !outputs.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
    )
    .map(({ long, flags }) => long ?? flags);
}

async function compareFiles(
  paths: readonly string[],
  options: OutputOptions,
  ineffective: readonly string[],
): Promise<void> {
  if (ineffective.length > 0)
    throw new WcvmmError(
      'E_USAGE',
      `${ineffective.join(', ')} ${ineffective.length > 1 ? 'have' : 'has'} no effect when report files are given; remove ${ineffective.length > 1 ? 'them' : 'it'} or the files.`,
    );
  if (paths.length < 2)
    throw new WcvmmError(
      'E_USAGE',
      `compare was given one report, ${paths[0] ?? ''}; expected two or more. "wcvmm report" shows one.`,
    );
  if (paths.filter((path) => path === '-').length > 1)
    throw new WcvmmError(
      'E_USAGE',
      'standard input can hold one report only; expected "-" once, and files for the others.',
    );
  await checkOutputs(options);
  const { readReport } = await import('../../report/read.ts');
  const files: Parameters<typeof nameMachines>[0][number][] = [];
  for (const path of paths) files.push({ path, report: await readReport(path) });
  const machines = nameMachines(files);
  await writeOutputs(options, machines, async (style) =>
    (await import('../../report/machines-text.ts')).renderMachines(machines, style),
  );
  process.exitCode = worstOf(machines.map(({ report }) => exitCodeOf(report)));
}
