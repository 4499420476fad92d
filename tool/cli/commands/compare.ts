import { Command, InvalidArgumentError } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { parseDuration } from '../../fleet/duration.ts';
import { FORMAT_NAMES } from '../../report/formats.ts';
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf, worstOf } from '../../report/proof.ts';
import { compareExpected } from './compare-expect.ts';
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
  $ wcvmm compare --expect profile.json reports/         every host against what its kind must show
  $ wcvmm compare --expect profile.json --hosts hosts.txt reports/ --junit fleet.xml

Exit code: 0 when nothing contradicts the model and each window's type was read back or observed, 1 on a mismatch, 2 when
it could not run, 3 when of some window nothing shows the type. With reports: the worst of theirs (2, 1, 3, 0); a
difference between machines is not a mismatch. With --expect: 0 when every host is as expected, 1 when one is not, or is not
verified, 2 when the profile or the hosts cannot be read.`;

interface CompareOptions extends ReportOptions {
  readonly expect?: string;
  readonly hosts?: string;
  readonly maxAge?: string;
}

/** Those that say what is done with reports. */
const OF_FILES: ReadonlySet<string> = new Set([...FORMAT_NAMES, 'expect', 'hosts', 'maxAge']);

export function compareCommand(): Command {
  const command = new Command('compare')
    .description('Compare wc, default and device under stage-1 Device-nGnRnE, or reports of several machines')
    .argument('[reports...]', 'reports that verify, compare or bench wrote with --json; nothing is run then');
  return addReportOptions(addWindowOptions(command))
    .option('--expect <profile>', 'compare each report with what its kind of instance must show: docs/fleet.md')
    .option(
      '--hosts <file>',
      'with --expect: hosts that must have a report, and their kinds; a line "HOST KIND" for each',
    )
    .option('--max-age <age>', 'with --expect: reports that are older count as none, as in 90m, 24h or 7d', duration)
    .addHelpText('after', EXAMPLES)
    .action(async (paths: readonly string[], options: CompareOptions) => {
      const { expect, hosts, maxAge } = options;
      if (expect === undefined && (hosts !== undefined || maxAge !== undefined))
        throw new WcvmmError('E_USAGE', `${hosts === undefined ? '--max-age' : '--hosts'} needs --expect PROFILE.`);
      if (expect !== undefined) {
        if (paths.length === 0)
          throw new WcvmmError('E_USAGE', 'compare --expect was given no report; expected files, or folders of them.');
        refuse(runOnly(command));
        return compareExpected(paths, { ...options, expect });
      }
      if (paths.length > 0) return compareFiles(paths, options, runOnly(command));
      await reportAction('compare')(options);
    });
}

/** The options that were given and choose what to run: they have no effect where nothing is run. */
function runOnly(command: Command): readonly string[] {
  return command.options
    .filter(
      (option) =>
        !OF_FILES.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
    )
    .map(({ long, flags }) => long ?? flags);
}

function duration(text: string): string {
  if (parseDuration(text) === null)
    throw new InvalidArgumentError('Expected minutes, hours or days, as in 90m, 24h, 7d.');
  return text;
}

function refuse(ineffective: readonly string[]): void {
  if (ineffective.length > 0)
    throw new WcvmmError(
      'E_USAGE',
      `${ineffective.join(', ')} ${ineffective.length > 1 ? 'have' : 'has'} no effect when report files are given; remove ${ineffective.length > 1 ? 'them' : 'it'} or the files.`,
    );
}

async function compareFiles(
  paths: readonly string[],
  options: OutputOptions,
  ineffective: readonly string[],
): Promise<void> {
  refuse(ineffective);
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
