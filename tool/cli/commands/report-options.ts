/** What verify, compare and bench have in common: they ask the same guests, and write reports. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { MACHINES } from '../../../testbed/machine/names.ts';
import { nameMachines } from '../../report/machine.ts';
import { exitCodeOf } from '../../report/report.ts';
import { repeatable } from './options.ts';
import type { WindowOptions } from './options.ts';
import { addOutputOptions, checkOutputs, tell } from './outputs.ts';
import type { OutputOptions } from './outputs.ts';
import { renderAs } from './report-text.ts';

export interface ReportOptions extends WindowOptions, OutputOptions {
  readonly guest?: string;
  readonly allowWrites?: boolean;
  /** verify, compare. */
  readonly predict?: readonly string[];
  /** bench. */
  readonly runs?: number;
  readonly guestConsole?: boolean;
  readonly testbed?: string;
  readonly stock?: boolean;
  readonly cpu?: string;
}

export function addReportOptions(command: Command): Command {
  return addAskOptions(command).addOption(
    repeatable(
      '--predict <row>',
      'replace a row of the model, PROBE@STAGE1=OUTCOME, to see that a wrong one is caught',
    ),
  );
}

export function addAskOptions(command: Command): Command {
  return addOutputOptions(command)
    .option('--guest <image>', 'ask this guest instead of the built one')
    .option('--allow-writes', 'the probes may store to BARs that wcvmm does not know as plain memory')
    .option('--guest-console', 'show what the guest prints')
    .addOption(new Option('--testbed <machine>', 'do it all inside an emulated instance').choices(MACHINES))
    .option('--stock', "with --testbed: a kernel without the project's patches")
    .option('--cpu <model>', "with --testbed: the emulator's name of a CPU model");
}

export type Kind = 'verify' | 'compare' | 'bench';

export function reportAction(kind: Kind): (options: ReportOptions) => Promise<void> {
  return async (options) => {
    await checkOutputs(options);
    const ask =
      options.testbed === undefined
        ? (await import('./ask-here.ts')).askHere
        : (await import('./ask-inside.ts')).askInside;
    const asked = await ask(kind, options);
    if (asked.report === null) {
      process.exitCode = asked.code;
      return;
    }
    const { report } = asked;
    await tell(options, nameMachines([{ path: kind, report }]), (style) => renderAs(kind, report, style));
    process.exitCode = exitCodeOf(report);
  };
}
