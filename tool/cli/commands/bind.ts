import { Command } from 'commander';
import { interruptible } from '../../../common/interrupt.ts';
import type { BindOptions, Plan } from '../../host/devices/bind.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';

interface Options {
  readonly force?: boolean;
  readonly group?: boolean;
  readonly dryRun?: boolean;
}

const BIND_EXAMPLES = `
Examples:
  $ wcvmm bind 0000:04:00.0
  $ wcvmm bind 0000:04:00.0 --dry-run                    show what would be written
  $ wcvmm bind 0000:04:00.0 --group                      all of its IOMMU group

A device that something uses is refused: a disk that is mounted, swap or part of a volume, a network interface that is
up, the console's GPU. What had it before is written down in /run/wcvmm, and "wcvmm unbind" gives it back. If a
step fails, or is interrupted, everything is put back.

Exit codes: 0 done, 2 could not.`;

const UNBIND_EXAMPLES = `
Examples:
  $ wcvmm unbind 0000:04:00.0
  $ wcvmm unbind 0000:04:00.0 --dry-run                  show what would be written

The driver that "wcvmm bind" found gets the device again; one that something else bound goes to whichever the
kernel chooses.

Exit codes: 0 done, 2 could not.`;

type Planner = (address: string, options: BindOptions) => Promise<Plan>;

function command(name: string, description: string, examples: string, plan: Planner): Command {
  return new Command(name)
    .description(description)
    .argument('<address>', 'PCI address of the device, as in 0000:04:00.0')
    .option('--group', 'every device of its IOMMU group, but bridges')
    .option('--force', 'even if something uses it')
    .option('--dry-run', 'change nothing; show what would be written')
    .addHelpText('after', examples)
    .action(async (address: string, { force = false, group = false, dryRun = false }: Options) =>
      carryOut(await plan(address, { force, group }), dryRun),
    );
}

async function carryOut({ steps, notes, settled }: Plan, dryRun: boolean): Promise<void> {
  const { spell, takeSteps } = await import('../../host/devices/steps.ts');
  for (const note of notes) process.stderr.write(`wcvmm: ${note}\n`);
  if (dryRun) for (const { action } of steps) process.stdout.write(`${spell(action)}\n`);
  else if (steps.length > 0) await interruptible((signal) => takeSteps(libcPort, steps, settled, signal));
}

export function bindCommand(): Command {
  return command('bind', 'Hand a device to vfio-pci', BIND_EXAMPLES, async (address, options) =>
    (await import('../../host/devices/bind.ts')).planBind(libcPort, address, options),
  );
}

export function unbindCommand(): Command {
  return command('unbind', 'Give a device back to the driver that it had', UNBIND_EXAMPLES, async (address, options) =>
    (await import('../../host/devices/bind.ts')).planUnbind(libcPort, address, options),
  );
}
