/** What passing a device through needs of the machine: an IOMMU, VFIO, a driver. */
import { WcvmmError } from '../../../common/errors.ts';
import type { ErrorCode } from '../../../common/errors.ts';
import { Scope } from '../../../common/scope.ts';
import type { Source } from '../../../memattr/index.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { PCI_DRIVERS, normaliseAddress, pciAddresses, readPciDevice } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { openNode } from '../../../vmm/sys/node.ts';
import type { IommuPath } from '../../../vmm/vfio/device.ts';
import { missing, note, ok } from './finding.ts';
import type { Finding } from './finding.ts';

const GROUPS = '/sys/kernel/iommu_groups';

/** The options of the command. */
export interface DoctorRequest {
  /** A PCI address. */
  readonly device: string | null;
  readonly source: Source;
  readonly iommu: IommuPath | 'auto';
}

function needsVfio(source: Source): boolean {
  return source === 'cookie' || source === 'legacy';
}

export function iommu(port: Port, { source }: DoctorRequest): Finding {
  const groups = attempt(() => port.list(GROUPS)) ?? [];
  const real = groups.filter(
    (group) => attempt(() => port.readText(`${GROUPS}/${group}/name`).trim()) !== 'vfio-noiommu',
  );
  if (real.length > 0) return ok('iommu', `${real.length} IOMMU groups`);
  if (groups.length > 0)
    return note('iommu', "none; VFIO's no-IOMMU mode is on: BARs can be mapped, but a device cannot reach guest RAM");
  return missing(
    'iommu',
    'no IOMMU group',
    'switch the IOMMU on in the firmware (VT-d, AMD-Vi, SMMU) and boot with intel_iommu=on where the kernel needs it; --source sysfs works without',
    needsVfio(source),
  );
}

export function vfio(port: Port, { source, iommu: path }: DoctorRequest): Finding {
  const nodes = { iommufd: '/dev/iommu', container: '/dev/vfio/vfio' } as const;
  const wanted = path === 'auto' ? (['iommufd', 'container'] as const) : [path];
  const answers = wanted.map((name) => ({
    name,
    code: refusal((scope) => openNode(port, scope, nodes[name], new WcvmmError('E_NO_IOMMU', nodes[name]))),
  }));
  const open = answers.filter(({ code }) => code === null).map(({ name }) => name);
  if (open.length > 0) return ok('vfio', open.join(' and '));
  const refused = answers.find(({ code }) => code === 'E_PERMISSION');
  if (refused !== undefined)
    return missing(
      'vfio',
      `this user may not open ${nodes[refused.name]}`,
      'run as root, or give this user access to it',
      needsVfio(source),
    );
  return missing(
    'vfio',
    `${wanted.map((name) => nodes[name]).join(' and ')} ${wanted.length > 1 ? 'do' : 'does'} not exist`,
    'modprobe vfio-pci, on a kernel with CONFIG_VFIO and with CONFIG_IOMMUFD or CONFIG_VFIO_CONTAINER',
    needsVfio(source),
  );
}

function refusal(open: (scope: Scope) => unknown): ErrorCode | null {
  const scope = new Scope();
  try {
    open(scope);
    return null;
  } catch (error) {
    if (error instanceof WcvmmError) return error.code;
    throw error;
  } finally {
    scope.close();
  }
}

/** A device that a vendor's variant of vfio-pci has needs no vfio-pci. */
export function vfioPci(port: Port, { device, source }: DoctorRequest): Finding {
  if (port.exists(`${PCI_DRIVERS}/vfio-pci`)) return ok('vfio-pci', 'the driver is loaded');
  const named = device === null ? null : normaliseAddress(device);
  const variant = devicesOfVfio(port).find(({ address }) => device === null || address === named);
  if (variant !== undefined)
    return note('vfio-pci', `the driver is not loaded; ${variant.address} has its variant ${variant.driver}`);
  return missing('vfio-pci', 'the driver is not loaded', 'modprobe vfio-pci', needsVfio(source));
}

/** The devices that are bound to vfio-pci or to a variant of it. */
export function devicesOfVfio(port: Port): readonly PciDevice[] {
  return pciAddresses(port)
    .flatMap((address) => readPciDevice(port, address) ?? [])
    .filter(({ hasVfioDriver }) => hasVfioDriver);
}
