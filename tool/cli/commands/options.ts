/** Options that commands share. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { SOURCES } from '../../../memattr/model.ts';
import type { Source } from '../../../memattr/model.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { parseMap } from '../../../vmm/memory/index.ts';
import { normaliseAddress } from '../../../vmm/sys/pci.ts';
import type { IommuPath } from '../../../vmm/vfio/device.ts';
import type { WindowChoice } from '../../../vmm/vfio/open-windows.ts';

export interface DeviceOptions {
  readonly device?: string;
  readonly source: Source;
  readonly iommu: IommuPath | 'auto';
}

export interface WindowOptions extends DeviceOptions {
  readonly map: readonly string[];
  readonly enforce?: boolean;
  readonly timeout: number;
  /** commander's name for --no-sandbox. */
  readonly sandbox: boolean;
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}

/** A map that cannot be read is reported at once, before anything is opened or booted. */
function collectMap(value: string, previous: readonly string[]): readonly string[] {
  return collect(parseMap(value).text, previous);
}

/** An option that may be given more than once; `otherwise` is what help shows as its default. */
export function repeatable(flags: string, description: string, otherwise = 'none'): Option {
  return new Option(flags, description).argParser(collect).default([], otherwise);
}

export function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0 || value > 86_400)
    throw new InvalidArgumentError('Expected a number of seconds above 0, as in 30.');
  return value;
}

const DEVICE_FLAGS = '-d, --device <address>';
const DEVICE_DESCRIPTION = 'PCI address of the device, as in 0000:01:00.0';

const ONE_DEVICE = new Option(DEVICE_FLAGS, DEVICE_DESCRIPTION);
/** For a command that can have many. */
export const MANY_DEVICES = repeatable(DEVICE_FLAGS, `${DEVICE_DESCRIPTION}; for Linux more than once`);

export function addDeviceOptions(command: Command, device: Option = ONE_DEVICE): Command {
  return command
    .addOption(device)
    .addOption(new Option('-s, --source <source>', 'where mappings come from').choices(SOURCES).default('cookie'))
    .addOption(
      new Option('--iommu <path>', 'which interface of VFIO to use')
        .choices(['auto', 'iommufd', 'container'])
        .default('auto'),
    );
}

const MAPS = repeatable(
  '-m, --map <map>',
  'a window, as in bar2:0-64K=device; may be given more than once',
  'all attributes, side by side in the largest BAR',
).argParser(collectMap);

export function addWindowOptions(command: Command, device: Option = ONE_DEVICE, maps: Option = MAPS): Command {
  return addDeviceOptions(command, device)
    .addOption(maps)
    .option(
      '--enforce',
      'trap every guest access to device windows, for machines where stage 2 cannot make them strict; each access then takes microseconds',
    )
    .option('--timeout <seconds>', 'stop a guest that runs longer', seconds, 30)
    .option('--no-sandbox', 'for debugging: keep all rights of this user while guests run');
}

export function deviceChoice({ device, source, iommu }: DeviceOptions): Omit<WindowChoice, 'maps' | 'enforce'> {
  if (source === 'memory' && device !== undefined)
    throw new WcvmmError('E_USAGE', '--source memory uses no device; leave out --device, or choose another --source.');
  return { source, device: device ?? null, iommu };
}

export function windowChoice(options: WindowOptions): WindowChoice {
  return { ...deviceChoice(options), maps: options.map, enforce: options.enforce === true };
}

/** The device that sysfs switches on and off, or null: VFIO does that by itself. */
export function deviceOfSysfs({ source, device }: DeviceOptions): string | null {
  return source === 'sysfs' ? normaliseAddress(device ?? '') : null;
}
