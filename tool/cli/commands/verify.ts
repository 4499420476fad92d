import { Command } from 'commander';
import { reportAction } from './report-action.ts';
import { addReportOptions } from './report-options.ts';
import { addWindowOptions } from './options.ts';

const EXAMPLES = `
Examples:
  $ wcvmm verify --testbed arm64 --json report.json --html report.html
  $ wcvmm verify -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc
  $ wcvmm verify -d 0000:01:00.0 --source sysfs          a stock kernel, no IOMMU
  $ wcvmm verify -d 0000:01:00.0 --predict unaligned-load@Device-nGnRnE=ok
                                                         a negative control: must end with exit code 1

Of a BAR that is not known to be memory, such as a device's registers, only a few bytes of each window are loaded, and no
data is expected back. --map limits what is read where reading a register has a side effect. --allow-writes adds stores, and
all probes where the BAR behaves as memory.

Exit code: 0 when nothing contradicts the model and each window's type was read back or observed, 1 on a mismatch, 2 when
it could not run, 3 when of some window nothing shows the type.`;

export function verifyCommand(): Command {
  return addReportOptions(
    addWindowOptions(
      new Command('verify').description('Check with bare-metal test guests which memory type each window of a BAR has'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(reportAction('verify'));
}
