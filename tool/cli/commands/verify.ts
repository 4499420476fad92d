import { Command, InvalidArgumentError } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { addMonitoringOptions, monitored } from './monitoring.ts';
import type { MonitoringOptions } from './monitoring.ts';
import { reportAction } from './report-action.ts';
import { withDebianKernel } from './debian-kernel.ts';
import { LINUX_GUEST, addReportOptions } from './report-options.ts';
import { addWindowOptions } from './options.ts';
import type { VerifyOptions } from './verify-host.ts';

const EXAMPLES = `
Examples:
  $ wcvmm verify --testbed arm64 --json report.json --html report.html
  $ wcvmm verify -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc
  $ wcvmm verify -d 0000:01:00.0 --source sysfs          a stock kernel, no IOMMU
  $ wcvmm verify --host -d 0000:01:00.0 --bar 2          is write-combining on? No KVM, no VFIO, also inside a VM
  $ wcvmm verify -d 0000:01:00.0 --prom /var/lib/prometheus/node-exporter/wcvmm.prom
  $ wcvmm verify -d 0000:01:00.0 --predict unaligned-load@Device-nGnRnE=ok
                                                         a negative control: must end with exit code 1
  $ wcvmm verify -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc --guest linux
                                                         asked by a program in a Linux guest
  $ wcvmm verify --testbed x86-amd --guest linux --kernel debian

Of a BAR that is not known to be memory, such as a device's registers, only a few bytes of each window are loaded, and no
data is expected back. --map limits what is read where reading a register has a side effect. --allow-writes adds stores, and
all probes where the BAR behaves as memory.

--guest linux passes the device to a Linux guest, whose own kernel maps the BARs for a program by resourceN and resourceN_wc of
sysfs; the program makes one access per process, since a fault is an answer too.

--host asks how this machine itself maps BARs through sysfs (resourceN, resourceN_wc), and runs no guest. On arm64 it makes two
loads at the start of each mapping: an unaligned one faults on Device memory only. On x86 nothing is loaded; the kernel's record
of memory types tells. Devices that another driver uses are left alone unless -d names them.

Exit code: 0 when nothing contradicts the model and each window's type was read back or observed, 1 on a mismatch, 2 when
it could not run, 3 when of some window nothing shows the type.`;

/** Seconds, unless --timeout is given: Linux boots before it answers, in a testbed on an emulator. */
const LINUX_SECONDS = 180;

export function verifyCommand(): Command {
  const described = new Command('verify').description(
    'Check with bare-metal test guests which memory type each window of a BAR has',
  );
  const withReports = addReportOptions(
    addWindowOptions(described),
    'run this bare-metal image instead of the built one; linux: ask from inside of a Linux guest',
  );
  return addMonitoringOptions(withReports)
    .option(
      '--kernel <file>',
      "with --guest linux: an arm64 Image, an x86 bzImage, or debian (default: this machine's own; with --testbed the testbed's)",
    )
    .option('--host', "check this machine's own mappings through sysfs instead, without a guest")
    .option('--bar <number>', 'with --host: only this BAR', barNumber)
    .addHelpText('after', EXAMPLES)
    .action(async (options: VerifyOptions & MonitoringOptions, command: Command) => {
      if (options.host === true) {
        if (options.prom !== undefined || options.nfd !== undefined)
          throw new WcvmmError('E_USAGE', '--prom and --nfd are about guests; leave them out with --host.');
        process.exitCode = await (await import('./verify-host.ts')).verifyHost(options, command);
        return;
      }
      if (options.bar !== undefined)
        throw new WcvmmError('E_USAGE', '--bar goes with --host; say with --map which windows guests get.');
      const isLinux = options.guest === LINUX_GUEST;
      if (options.kernel !== undefined && !isLinux)
        throw new WcvmmError('E_USAGE', '--kernel is for Linux guests; expected --guest linux with it.');
      const isTimed = command.getOptionValueSource('timeout') === 'cli';
      const booted = isLinux ? await withDebianKernel(options, options.testbed) : options;
      const timed = isLinux && !isTimed ? { ...booted, timeout: LINUX_SECONDS } : booted;
      await monitored(options, (more) => reportAction('verify', more)(timed));
    });
}

function barNumber(text: string): number {
  if (!/^[0-5]$/.test(text)) throw new InvalidArgumentError('Expected a number from 0 to 5.');
  return Number(text);
}
