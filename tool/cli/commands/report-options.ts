/** The options that verify, compare and bench share. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { MACHINES } from '../../../testbed/machine/names.ts';
import { repeatable } from './options.ts';
import type { WindowOptions } from './options.ts';
import { addOutputOptions } from './outputs.ts';
import type { OutputOptions } from './outputs.ts';

/** The commands that measure with guests and make a report. */
export type ReportCommand = 'verify' | 'compare' | 'bench';

export interface ReportOptions extends WindowOptions, OutputOptions {
  /** A bare guest's image; verify also takes LINUX_GUEST. */
  readonly guest?: string;
  /** verify: a Linux guest's; undefined: this machine's own. */
  readonly kernel?: string;
  readonly allowWrites?: boolean;
  /** verify, compare. */
  readonly whole?: boolean;
  readonly predict?: readonly string[];
  /** bench. */
  readonly runs?: number;
  readonly guestConsole?: boolean;
  readonly testbed?: string;
  readonly stock?: boolean;
  readonly cpu?: string;
}

/** What `verify --guest` takes beside the path of an image. */
export const LINUX_GUEST = 'linux';

export function addReportOptions(command: Command, guest?: string): Command {
  return addGuestOptions(command, guest)
    .option('--whole', 'touch every page of each window, not only the first, the last and a few between')
    .addOption(
      repeatable(
        '--predict <row>',
        'replace a row of the model, PROBE@STAGE1=OUTCOME, to check that a wrong one is caught',
      ),
    );
}

export function addGuestOptions(command: Command, guest = 'run this guest image instead of the built one'): Command {
  return addOutputOptions(command)
    .option('--guest <image>', guest)
    .option('--allow-writes', 'let the probes also store to BARs that are not known to be plain memory')
    .option('--guest-console', 'show what the guest prints')
    .addOption(new Option('--testbed <machine>', 'run inside an emulated instance').choices(MACHINES))
    .option('--stock', "with --testbed: a kernel without the project's patches")
    .option('--cpu <model>', 'with --testbed: a CPU model of the emulator');
}
