import { standardOutput } from '../../../common/output.ts';
import { Command } from 'commander';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { showJson } from './json.ts';

interface DevicesOptions {
  readonly all?: boolean;
  readonly open?: boolean;
  readonly json?: string | true;
}

const EXAMPLES = `
Examples:
  $ wcvmm devices
  $ wcvmm devices --open                                 with what VFIO can map
  $ wcvmm devices --all --json devices.json

The list comes from sysfs, and no device is opened. VFIO says what it can map only of an open device: --open opens each
one that is bound to vfio-pci and not in use, and closes it again. The kernel resets a device when it is opened.

Exit codes: 0 the list is complete, 2 an error.`;

export function devicesCommand(): Command {
  return new Command('devices')
    .description('List PCI devices, their BARs, and how each could be mapped')
    .option('--all', 'list bridges and devices without memory BARs too')
    .option('--open', 'open devices that are bound to vfio-pci, which resets them, and list what VFIO can map')
    .option('--json [file]', 'write the list as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action(async ({ all = false, open = false, json }: DevicesOptions) => {
      const [{ listDevices }, { devicesInJson, renderDevices }, { styleOf }] = await Promise.all([
        import('../../host/devices/inventory.ts'),
        import('../../host/devices/text.ts'),
        import('../../../common/terminal.ts'),
      ]);
      const devices = listDevices(libcPort, { all, open });
      if (!(await showJson(json, devicesInJson(devices))))
        standardOutput.write(renderDevices(devices, all, styleOf(standardOutput, process.env)));
    });
}
