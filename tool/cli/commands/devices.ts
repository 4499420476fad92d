import { Command } from 'commander';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { showJson } from './json.ts';

interface DevicesOptions {
  readonly all?: boolean;
  readonly json?: string | true;
}

const EXAMPLES = `
Examples:
  $ wcvmm devices
  $ wcvmm devices --all --json devices.json

A device that is bound to vfio-pci and that nobody uses is opened and closed again, to ask the kernel what of it may
be mapped, and how; the others are only looked at.

Exit codes: 0 listed, 2 could not.`;

export function devicesCommand(): Command {
  return new Command('devices')
    .description('List PCI devices, their BARs, and how each could be mapped')
    .option('--all', 'bridges and devices without memory BARs too')
    .option('--json [file]', 'write the list as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action(async ({ all = false, json }: DevicesOptions) => {
      const [{ listDevices }, { devicesInJson, renderDevices }, { styleOf }] = await Promise.all([
        import('../../host/devices/inventory.ts'),
        import('../../host/devices/text.ts'),
        import('../../../common/terminal.ts'),
      ]);
      const devices = listDevices(libcPort, all);
      if (!(await showJson(json, devicesInJson(devices))))
        process.stdout.write(renderDevices(devices, all, styleOf(process.stdout, process.env)));
    });
}
