import { Command, InvalidArgumentError } from 'commander';
import { reportAction } from './report-action.ts';
import type { ReportOptions } from './report-options.ts';
import { addGuestOptions } from './report-options.ts';
import { addWindowOptions } from './options.ts';

const EXAMPLES = `
Examples:
  $ wcvmm bench -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc
  $ wcvmm bench -d 0000:01:00.0 --runs 25 --json bench.json --html bench.html
  $ wcvmm bench --testbed arm64                          shows that it works; figures from an emulator mean nothing

Measures, for each window and each memory type that a guest can use, the bandwidth of stores by burst size and by
stride, the latency of loads, and how long a store to the device and back takes. Each figure is the median of several
samples, with its quartiles.

Exit code: 0 when it measured, 1 when KVM did not program a window as the model predicts, 2 when it could not run.`;

const MOST_RUNS = 999;

function runs(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 3 || value > MOST_RUNS)
    throw new InvalidArgumentError(`Expected a number of runs from 3 to ${MOST_RUNS}; fewer than 3 show no spread.`);
  return value;
}

export function benchCommand(): Command {
  return addGuestOptions(
    addWindowOptions(
      new Command('bench').description('Measure how fast stores and loads are in each window, by memory type'),
    ),
  )
    .option('--runs <count>', 'samples of each figure', runs, 9)
    .addHelpText('after', EXAMPLES)
    .action(async (options: ReportOptions) => {
      await reportAction('bench')(options);
    });
}
