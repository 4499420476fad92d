import { Command } from 'commander';
import { interruptible } from '../../../common/interrupt.ts';
import { standardOutput } from '../../../common/output.ts';
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
  $ wcvmm bind 0000:04:00.0 --dry-run                    show the commands
  $ wcvmm bind 0000:04:00.0 --group                      all of its IOMMU group

A device that is in use is refused: a disk that is mounted, swap or part of a volume, a network interface that is up,
the console's GPU. The previous driver is recorded in /run/wcvmm, and "wcvmm unbind" restores it. If a step fails or is
interrupted, everything is restored.

Exit codes: 0 done, 2 an error.`;

const UNBIND_EXAMPLES = `
Examples:
  $ wcvmm unbind 0000:04:00.0
  $ wcvmm unbind 0000:04:00.0 --dry-run                  show the commands

The device goes back to the driver that "wcvmm bind" recorded. Where nothing is recorded, the kernel chooses one.

Exit codes: 0 done, 2 an error.`;

type Planner = (address: string, options: BindOptions) => Promise<Plan>;

function command(name: string, description: string, examples: string, plan: Planner): Command {
  return new Command(name)
    .description(description)
    .argument('<address>', 'PCI address of the device, as in 0000:04:00.0')
    .option('--group', 'also every other device of its IOMMU group, except bridges')
    .option('--force', 'even if the device is in use')
    .option('--dry-run', 'change nothing; show the commands')
    .addHelpText('after', examples)
    .action(async (address: string, { force = false, group = false, dryRun = false }: Options) =>
      carryOut(await plan(address, { force, group }), dryRun),
    );
}

async function carryOut({ steps, notes, requireDrivers }: Plan, dryRun: boolean): Promise<void> {
  const { shellCommand, takeSteps } = await import('../../host/devices/steps.ts');
  for (const note of notes) process.stderr.write(`wcvmm: ${note}\n`);
  if (dryRun) for (const { action } of steps) standardOutput.write(`${shellCommand(action)}\n`);
  else if (steps.length > 0) await interruptible((signal) => takeSteps(libcPort, steps, requireDrivers, signal));
}

export function bindCommand(): Command {
  return command('bind', 'Bind a device to vfio-pci', BIND_EXAMPLES, async (address, options) =>
    (await import('../../host/devices/bind.ts')).planBind(libcPort, address, options),
  );
}

export function unbindCommand(): Command {
  return command('unbind', 'Give a device back to its previous driver', UNBIND_EXAMPLES, async (address, options) =>
    (await import('../../host/devices/bind.ts')).planUnbind(libcPort, address, options),
  );
}
