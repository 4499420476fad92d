/** Binds a device to vfio-pci by driver_override, and gives it back to its previous driver. */
import { WcvmmError } from '../../../common/errors.ts';
import { findDevice } from '../../../vmm/vfio/device.ts';
import { PCI_DRIVERS, PCI_PROBE, isBridge, pciFolder, readPciDevice } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { noIommuIsAllowed } from '../../../vmm/vfio/no-iommu.ts';
import { readPreviousDriver, recordPath } from './previous-driver.ts';
import type { PreviousDriver } from './previous-driver.ts';
import { boundTo } from './steps.ts';
import type { Step } from './steps.ts';
import { groupOthers, usesOf } from './use.ts';

const VFIO_PCI = 'vfio-pci';

function overridePath(address: string): string {
  return `${pciFolder(address)}/driver_override`;
}

function readOverride(port: Port, address: string): string {
  const text = port.readText(overridePath(address)).trim();
  return text === '(null)' ? '' : text;
}

export interface BindOptions {
  /** Even a device that something uses. */
  readonly force: boolean;
  /** Every device of its IOMMU group too, except bridges. */
  readonly group: boolean;
}

export interface Plan {
  readonly steps: readonly Step[];
  /** For the user, one sentence each. */
  readonly notes: readonly string[];
  /** Throws E_BIND if the drivers are not what the plan is for. */
  requireDrivers(): void;
}

function requireUnused(port: Port, device: PciDevice, force: boolean): void {
  const uses = force ? [] : usesOf(port, device);
  if (uses.length === 0) return;
  throw new WcvmmError(
    'E_DEVICE_IN_USE',
    `${device.address} is in use: ${uses.join('; ')}. Stop that first, or use --force.`,
  );
}

function expectDriver(port: Port, address: string, driver: string | null): void {
  const now = boundTo(port, address);
  if (now !== driver)
    throw new WcvmmError(
      'E_BIND',
      `${address} ended up with ${now === null ? 'no driver' : `the driver ${now}`}; expected ${driver ?? 'none'}. Everything was restored; dmesg may say why.`,
    );
}

function bindSteps(port: Port, { address, driver }: PciDevice): readonly Step[] {
  const override = readOverride(port, address);
  const previous: PreviousDriver = { driver, override };
  const state = recordPath(address);
  return [
    {
      action: { kind: 'create', path: state, text: `${JSON.stringify(previous)}\n` },
      undo: { kind: 'remove', path: state },
    },
    ...(driver === null
      ? []
      : [
          {
            action: { kind: 'release', driver, address },
            undo: { kind: 'bind', driver, address },
          } satisfies Step,
        ]),
    {
      action: { kind: 'write', path: overridePath(address), text: VFIO_PCI },
      undo: { kind: 'write', path: overridePath(address), text: `${override}\n` },
    },
    { action: { kind: 'write', path: PCI_PROBE, text: address }, undo: { kind: 'release', driver: VFIO_PCI, address } },
  ];
}

/**
 * Throws E_USAGE, E_DEVICE_ABSENT, E_NO_IOMMU (it would be of no use), E_SETUP (no vfio-pci), E_DEVICE_IN_USE. A device that
 * vfio-pci or a variant of it has already needs no step: the variant knows its device better.
 */
export function planBind(port: Port, text: string, { force, group }: BindOptions): Plan {
  const device = findDevice(port, text);
  if (isBridge(device))
    throw new WcvmmError(
      'E_USAGE',
      `${device.address} is a bridge: it connects other devices and cannot be passed through. "wcvmm devices" lists those that can.`,
    );
  if (device.iommuGroup === null && !noIommuIsAllowed(port))
    throw new WcvmmError(
      'E_NO_IOMMU',
      `${device.address} is in no IOMMU group, and VFIO needs one: switch the IOMMU on (firmware; intel_iommu=on), or allow VFIO's unsafe no-IOMMU mode (vfio.enable_unsafe_noiommu_mode=1). Without either "--source sysfs" maps the BAR of a device that has no driver.`,
    );
  const others = groupOthers(port, device)
    .flatMap((address) => readPciDevice(port, address) ?? [])
    .filter((other) => !isBridge(other));
  const inTheWay = others.filter(({ driver, hasVfioDriver }) => driver !== null && !hasVfioDriver);
  const wanted = [device, ...(group ? inTheWay : [])].filter(({ hasVfioDriver }) => !hasVfioDriver);
  if (wanted.length > 0 && !port.exists(`${PCI_DRIVERS}/${VFIO_PCI}`))
    throw new WcvmmError('E_SETUP', 'the driver vfio-pci is not loaded. Load it: modprobe vfio-pci.');
  for (const one of wanted) requireUnused(port, one, force);
  const hint = `VFIO cannot use ${device.address} while other devices of its IOMMU group ${device.iommuGroup} have other drivers: ${inTheWay.map(({ address, driver }) => `${address} has ${driver}`).join(', ')}. --group binds them too`;
  return {
    steps: wanted.flatMap((one) => bindSteps(port, one)),
    notes: [
      ...(wanted.length === 0 ? [`${device.address} is bound to ${device.driver} already`] : []),
      ...(inTheWay.length > 0 && !group ? [hint] : []),
    ],
    requireDrivers: () => {
      for (const { address } of wanted) expectDriver(port, address, VFIO_PCI);
    },
  };
}

/** `previous` null: it is not known which driver the device had, and the kernel chooses one. */
function unbindSteps(port: Port, { address, driver }: Bound, previous: PreviousDriver | null): readonly Step[] {
  const override = previous?.override ?? '';
  const giveBack: Step[] =
    previous === null
      ? [{ action: { kind: 'write', path: PCI_PROBE, text: address }, undo: null }]
      : previous.driver === null
        ? []
        : [
            {
              action: { kind: 'bind', driver: previous.driver, address },
              undo: { kind: 'release', driver: previous.driver, address },
            },
          ];
  return [
    { action: { kind: 'release', driver, address }, undo: { kind: 'bind', driver, address } },
    {
      action: { kind: 'write', path: overridePath(address), text: `${override}\n` },
      undo: { kind: 'write', path: overridePath(address), text: `${readOverride(port, address)}\n` },
    },
    ...giveBack,
  ];
}

interface Bound extends PciDevice {
  readonly driver: string;
}

function isBound(device: PciDevice): device is Bound {
  return device.hasVfioDriver && device.driver !== null;
}

/** As `readPreviousDriver`; also null where the driver is no longer loaded. */
function usablePrevious(port: Port, address: string): PreviousDriver | null {
  const previous = readPreviousDriver(port, address);
  return previous === null || previous.driver === null || port.exists(`${PCI_DRIVERS}/${previous.driver}`)
    ? previous
    : null;
}

/**
 * Gives a device, and what `bind --group` took with it, back to the drivers that they had; without a note of `bind`, to
 * whichever the kernel chooses. Throws as `planBind`.
 */
export function planUnbind(port: Port, text: string, { force, group }: BindOptions): Plan {
  const device = findDevice(port, text);
  const others = group ? groupOthers(port, device).flatMap((address) => readPciDevice(port, address) ?? []) : [];
  const wanted = [device, ...others].filter(isBound);
  for (const one of wanted) requireUnused(port, one, force);
  const records = wanted.map((bound) => ({
    bound,
    address: bound.address,
    previous: usablePrevious(port, bound.address),
  }));
  const unknown = records.filter(({ previous }) => previous === null).map(({ address }) => address);
  return {
    steps: [
      ...records.flatMap(({ bound, previous }) => unbindSteps(port, bound, previous)),
      // Last: until then a second "unbind" can still do what this one did not.
      ...records.map(({ address, previous }): Step => ({
        action: { kind: 'remove', path: recordPath(address) },
        undo:
          previous === null
            ? null
            : { kind: 'create', path: recordPath(address), text: `${JSON.stringify(previous)}\n` },
      })),
    ],
    notes: [
      ...(wanted.length === 0 ? [`${device.address} is not bound to vfio-pci`] : []),
      ...(unknown.length > 0
        ? [`the previous driver of ${unknown.join(', ')} is unknown or not loaded: the kernel chooses one`]
        : []),
    ],
    requireDrivers: () => {
      for (const { address, previous } of records) if (previous !== null) expectDriver(port, address, previous.driver);
    },
  };
}
