import { Command, InvalidArgumentError } from 'commander';
import { reportAction } from './report-action.ts';
import { addGuestOptions } from './report-options.ts';
import { addWindowOptions } from './options.ts';

const EXAMPLES = `
Examples:
  $ wcvmm bench -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc
  $ wcvmm bench -d 0000:01:00.0 --runs 25 --json bench.json --html bench.html
  $ wcvmm bench --testbed arm64                          shows that it works; an emulator's figures mean nothing

Of each window and each memory type that a guest can ask for: the bandwidth of stores by burst size and by stride, the
latency of loads, and how long a store takes to the device and back. Each figure is a median, with its quartiles, of
samples that are as long as the guest's clock needs.

Exit code: 0 when it measured, 1 when a window was not made as the model predicts, 2 when it could not run.`;

const MOST_RUNS = 999;

function runs(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 3 || value > MOST_RUNS)
    throw new InvalidArgumentError(
      `Expected a number of runs from 3, below which there is no spread, to ${MOST_RUNS}.`,
    );
  return value;
}

export function benchCommand(): Command {
  return addGuestOptions(
    addWindowOptions(
      new Command('bench').description('Measure what stores and loads cost in each window, by memory type'),
    ),
  )
    .option('--runs <count>', 'samples of each figure', runs, 9)
    .addHelpText('after', EXAMPLES)
    .action(reportAction('bench'));
}
