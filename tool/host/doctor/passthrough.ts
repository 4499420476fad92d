/** The way to a device: IOMMU, VFIO, vfio-pci, and what the kernel's VFIO answers when it is asked for cookies. */
import type { Source } from '../../../memattr/index.ts';
import { WcvmmError } from '../../../common/errors.ts';
import type { ErrorCode } from '../../../common/errors.ts';
import { Scope } from '../../../common/scope.ts';
import { normaliseAddress, pciAddresses, readPciDevice } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { usesOf } from '../devices/use.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { hasMmapCookies } from '../../../vmm/vfio/cookie.ts';
import { findDevice, openVfioDevice } from '../../../vmm/vfio/device.ts';
import type { IommuPath, VfioDevice } from '../../../vmm/vfio/device.ts';
import { openNode } from '../../../vmm/sys/node.ts';
import { missing, note, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';

const GROUPS = '/sys/kernel/iommu_groups';
const VFIO_PCI = '/sys/bus/pci/drivers/vfio-pci';

export interface Way {
  readonly device: string | null;
  readonly source: Source;
  readonly iommu: IommuPath | 'auto';
}

function needsVfio(source: Source): boolean {
  return source === 'cookie' || source === 'legacy';
}

export function iommu(port: Port, { source }: Way): Finding {
  const groups = attempt(() => port.list(GROUPS)) ?? [];
  const isReal = (group: string): boolean =>
    attempt(() => port.readText(`${GROUPS}/${group}/name`).trim()) !== 'vfio-noiommu';
  if (groups.some(isReal)) return ok('iommu', `${groups.filter(isReal).length} IOMMU groups`);
  if (groups.length > 0)
    return note(
      'iommu',
      "none, and VFIO's no-IOMMU mode is on: BARs can be mapped, and a device cannot reach guest RAM",
    );
  return missing(
    'iommu',
    'no IOMMU group',
    'switch the IOMMU on in the firmware (VT-d, AMD-Vi, SMMU) and boot with intel_iommu=on where the kernel wants it; --source sysfs needs none',
    needsVfio(source),
  );
}

export function vfio(port: Port, { source, iommu: path }: Way): Finding {
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
      `${nodes[refused.name]} may not be opened`,
      'run as root, or give this user access to it',
      needsVfio(source),
    );
  return missing(
    'vfio',
    `there is no ${wanted.map((name) => nodes[name]).join(' and no ')}`,
    'modprobe vfio-pci; a kernel for it has CONFIG_VFIO, and CONFIG_IOMMUFD or CONFIG_VFIO_CONTAINER',
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
export function vfioPci(port: Port, way: Way): Finding {
  if (port.exists(VFIO_PCI)) return ok('vfio-pci', 'the driver is loaded');
  const variant = devicesOfVfio(port).find(({ address }) => way.device === null || sameAddress(address, way.device));
  if (variant !== undefined)
    return note('vfio-pci', `the driver is not loaded; ${variant.address} has its variant ${variant.driver}`);
  return missing('vfio-pci', 'the driver is not loaded', 'modprobe vfio-pci', needsVfio(way.source));
}

function sameAddress(address: string, text: string): boolean {
  return normaliseAddress(text) === address;
}

function devicesOfVfio(port: Port): readonly PciDevice[] {
  return pciAddresses(port)
    .flatMap((address) => readPciDevice(port, address) ?? [])
    .filter(({ hasVfioDriver }) => hasVfioDriver);
}

const WAY = { ioas: 'iommufd', container: 'the container', none: "VFIO's no-IOMMU mode: no DMA" } as const;

/** The device that is named, else the first that VFIO holds; one that no process has open, if there is one. */
function chosen(port: Port, { device }: Way): string | null {
  if (device !== null) return device;
  const held = devicesOfVfio(port);
  const free = held.find((pci) => usesOf(port, pci).length === 0);
  return (free ?? held[0])?.address ?? null;
}

/** The device itself, opened and closed again, and the cookie feature by PROBE. Throws E_USAGE for a text that is no PCI address. */
export function deviceAndCookies(port: Port, way: Way): readonly Finding[] {
  const { source } = way;
  if (source === 'memory') return [note('device', 'none needed: a memfd stands in for the BAR')];
  const address = chosen(port, way);
  const cookiesUnknown = (why: string): readonly Finding[] =>
    source === 'sysfs' ? [] : [unknown('cookies', why, null, source === 'cookie')];
  if (address === null) {
    const none = missing(
      'device',
      'no device is bound to vfio-pci',
      'choose one with "wcvmm devices" and hand it over with "wcvmm bind ADDRESS"',
      true,
    );
    return [none, ...cookiesUnknown('a device must be bound to vfio-pci to ask the kernel')];
  }
  const scope = new Scope();
  try {
    const pci = findDevice(port, address);
    if (source === 'sysfs') return [sysfsDevice(pci)];
    const device = openVfioDevice(port, scope, pci, { iommu: way.iommu });
    return [
      ok('device', `${pci.address} (${pci.id}) opens through ${WAY[device.dma.kind]}`),
      cookies(port, device, source),
    ];
  } catch (error) {
    if (!(error instanceof WcvmmError) && !(error instanceof SysError)) throw error;
    if (error instanceof WcvmmError && error.code === 'E_USAGE') throw error;
    return [
      missing(
        'device',
        error.message,
        '"wcvmm devices" shows what there is, "wcvmm bind ADDRESS" hands a device over',
        true,
      ),
      ...cookiesUnknown('the device must open to ask the kernel'),
    ];
  } finally {
    scope.close();
  }
}

function sysfsDevice({ address, id, driver, hasVfioDriver }: PciDevice): Finding {
  if (driver === null || hasVfioDriver) return ok('device', `${address} (${id}), driver ${driver ?? 'none'}`);
  return missing(
    'device',
    `${address} is bound to the driver ${driver}, which uses its BARs`,
    `"wcvmm bind ${address}" hands it over if nothing uses it`,
    true,
  );
}

function cookies(port: Port, device: VfioDevice, source: Source): Finding {
  if (hasMmapCookies(port, device.fd))
    return ok('cookies', 'VFIO_DEVICE_FEATURE_MMAP_COOKIE, probed: attributes can be chosen');
  return missing(
    'cookies',
    'this kernel has no VFIO_DEVICE_FEATURE_MMAP_COOKIE (probed): default is all that can be mapped',
    'boot a kernel with the series in kernel-patches/; or use --source legacy, or --source sysfs',
    source === 'cookie',
  );
}
