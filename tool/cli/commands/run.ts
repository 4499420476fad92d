import { Command, Option } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { MACHINES } from '../../../testbed/machine/names.ts';
import { splitMap } from './device-map.ts';
import { BARE_MEMORY, LINUX_MEMORY } from './guest-memory.ts';
import { withDebianKernel } from './debian-kernel.ts';
import { MANY_DEVICES, addWindowOptions, repeatable } from './options.ts';
import type { RunOptions } from './run-in-testbed.ts';

const EXAMPLES = `
Examples:
  $ wcvmm run --kernel Image --initrd initramfs.cpio --cpus 4 --memory 1G
  $ wcvmm run --kernel vmlinuz --initrd initrd.img --append 'quiet loglevel=3' --no-reboot
  $ wcvmm run --testbed arm64 --kernel Image --initrd initramfs.cpio   inside an emulated instance
  $ wcvmm run --kernel debian -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc
  $ wcvmm run --kernel Image --initrd initramfs.cpio -d 0000:01:00.0 -d 0000:02:00.0 -m 0000:01:00.0/bar2=wc
  $ wcvmm run -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-=wc guest.elf
  $ wcvmm run --source memory guest.elf          a machine with KVM and no device
  $ wcvmm run -d 0000:01:00.0 -m bar2:0-64K=device --enforce guest.elf
  $ wcvmm run -d 0000:01:00.0 --source sysfs --timeout 5 guest.elf

The guest's console goes to standard output as it is, escape sequences included. What is typed goes to a Linux guest; at a terminal
Ctrl-a x stops it. What KVM programmed for windows goes to standard error.

Exit code: 0 when Linux powered off, or a bare-metal guest ended with status 0; 4 when Linux rebooted and --no-reboot is given; 2
otherwise.`;

const MAPS = repeatable(
  '-m, --map <map>',
  'an attribute of a part of a BAR, as in bar2:0-64K=device; with many devices 0000:01:00.0/bar2=wc; may be given more than once',
  'bare-metal: all, side by side in the largest BAR; Linux: default',
).argParser((text: string, previous: readonly string[]) => {
  splitMap(text);
  return [...previous, text];
});

export function runCommand(): Command {
  const command = new Command('run').description('Run Linux, or a bare-metal guest with windows of a BAR');
  return addWindowOptions(command, MANY_DEVICES, MAPS)
    .argument('[image]', 'a bare-metal guest: an ELF executable, linked as tool/verify/guest/abi.h says')
    .option(
      '--kernel <file>',
      "run Linux: an arm64 Image, an x86 bzImage, or debian: fetch Debian's for cloud instances",
    )
    .option('--initrd <file>', 'Linux: its initramfs; --kernel debian brings one')
    .addOption(
      repeatable('--append <words>', 'Linux: the end of its command line; may be given more than once', 'nothing'),
    )
    .option('--cpus <number>', 'Linux: its vCPUs', '1')
    .option('--console <where>', 'Linux: stdio, none, or file:PATH', 'stdio')
    .option('--no-reboot', 'Linux: end when the guest reboots')
    .option('--memory <size>', `guest RAM (default: ${BARE_MEMORY}; for Linux ${LINUX_MEMORY})`)
    .addOption(
      repeatable('--dma-device <address>', 'let this VFIO device reach guest RAM; may be given more than once'),
    )
    .option('--json <file>', 'also write the result as JSON to a file ("-" = standard output)')
    .addOption(new Option('--testbed <machine>', 'run it inside an emulated instance').choices(MACHINES))
    .addHelpText('after', EXAMPLES)
    .action(async (path: string | undefined, options: RunOptions, command: Command) => {
      process.exitCode = await run(path, options, command);
    });
}

/** Options of the other kind of guest are refused: nobody should believe that they did something. */
const ONLY_BARE = ['source', 'dmaDevice', 'json'] as const;
const ONLY_LINUX = ['initrd', 'append', 'cpus', 'console', 'reboot'] as const;

async function run(path: string | undefined, given: RunOptions, command: Command): Promise<number> {
  const { testbed } = given;
  const isGiven = (name: string): boolean => command.getOptionValueSource(name) === 'cli';
  if ((path === undefined) === (given.kernel === undefined)) {
    throw new WcvmmError('E_USAGE', 'expected either a bare-metal guest IMAGE or --kernel FILE; see wcvmm run --help.');
  }
  const misplaced = (given.kernel === undefined ? ONLY_LINUX : ONLY_BARE).find(isGiven);
  if (misplaced !== undefined) {
    const flag = command.options.find((option) => option.attributeName() === misplaced)?.long ?? misplaced;
    const what =
      given.kernel === undefined ? 'Linux guests, which --kernel runs' : 'bare-metal guests, which need no --kernel';
    throw new WcvmmError('E_USAGE', `${flag} is for ${what}; leave it out.`);
  }
  const options = await withDebianKernel(given, testbed);
  const { kernel } = options;
  if (testbed !== undefined) {
    const { runGuestInTestbed } = await import('./run-in-testbed.ts');
    return runGuestInTestbed(path, options, testbed, isGiven('timeout'));
  }
  return interruptible(async (signal) => {
    if (kernel === undefined) {
      const { runBareGuest } = await import('./run-bare.ts');
      const { device: _devices, ...others } = options;
      return runBareGuest(path ?? '', { ...others, ...oneDevice(options) }, signal);
    }
    const { runLinux } = await import('./run-linux.ts');
    const { timeout, ...others } = options;
    return runLinux({ ...others, kernel, ...(isGiven('timeout') && { timeout }) }, signal);
  });
}

/** Throws E_USAGE for more than one. */
function oneDevice({ device }: RunOptions): { readonly device?: string } {
  const [only, second] = device;
  if (second !== undefined) {
    throw new WcvmmError('E_USAGE', '--device is given more than once; expected one for a bare-metal guest.');
  }
  return only === undefined ? {} : { device: only };
}
