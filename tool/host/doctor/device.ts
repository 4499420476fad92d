/**
 * The device, and what the kernel's VFIO answers when it is asked for mmap cookies. That can only be asked through an open
 * device, and the kernel resets a device when it is opened: only one that the user has named is.
 */
import { WcvmmError } from '../../../common/errors.ts';
import { Scope } from '../../../common/scope.ts';
import type { Source } from '../../../memattr/index.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { hasMmapCookies } from '../../../vmm/vfio/cookie.ts';
import { findDevice, openVfioDevice } from '../../../vmm/vfio/device.ts';
import type { VfioDevice } from '../../../vmm/vfio/device.ts';
import { usesOf } from '../devices/use.ts';
import { missing, note, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';
import { devicesOfVfio } from './passthrough.ts';
import type { DoctorRequest } from './passthrough.ts';

const CHOOSE = 'choose one with "wcvmm devices" and bind it with "wcvmm bind ADDRESS"';

/** Throws E_USAGE for a text that is no PCI address. */
export function deviceAndCookies(port: Port, request: DoctorRequest): readonly Finding[] {
  const { device, source } = request;
  if (source === 'memory') return [note('device', 'none needed: a memfd stands in for the BAR')];
  return device === null ? unnamedDevice(port, source) : namedDevice(port, request, device);
}

function unnamedDevice(port: Port, source: Source): readonly Finding[] {
  const bound = devicesOfVfio(port);
  const free = bound.filter((pci) => usesOf(port, pci).length === 0).map(({ address }) => address);
  if (free.length > 0)
    return [
      note('device', `bound to VFIO and not in use: ${free.join(', ')}`),
      ...unknownCookies(
        source,
        'the kernel can only be asked through an open device, and opening a device resets it',
        'name the device: "wcvmm doctor -d ADDRESS" opens it',
      ),
    ];
  const none =
    bound.length === 0
      ? missing('device', 'no device is bound to vfio-pci', CHOOSE, true)
      : missing(
          'device',
          `every device that is bound to VFIO is in use: ${bound.map(({ address }) => address).join(', ')}`,
          '"wcvmm devices" shows what uses them',
          true,
        );
  return [none, ...unknownCookies(source, 'the kernel can only be asked through a device that is bound to vfio-pci')];
}

function namedDevice(port: Port, { source, iommu }: DoctorRequest, text: string): readonly Finding[] {
  const scope = new Scope();
  try {
    const pci = findDevice(port, text);
    if (source === 'sysfs') return [sysfsDevice(pci)];
    const device = openVfioDevice(port, scope, pci, { iommu, memory: false });
    return [ok('device', `${pci.address} (${pci.id}) opens through ${pathOf(device)}`), cookies(port, device, source)];
  } catch (error) {
    if (!(error instanceof WcvmmError) && !(error instanceof SysError)) throw error;
    if (error instanceof WcvmmError && error.code === 'E_USAGE') throw error;
    return [
      missing(
        'device',
        error.message,
        '"wcvmm devices" lists devices, "wcvmm bind ADDRESS" binds one to vfio-pci',
        true,
      ),
      ...unknownCookies(source, 'the kernel can only be asked through an open device'),
    ];
  } finally {
    scope.close();
  }
}

function pathOf({ dma }: VfioDevice): string {
  switch (dma.kind) {
    case 'ioas':
      return 'iommufd';
    case 'container':
      return 'the container';
    case 'none':
      return "VFIO's no-IOMMU mode: no DMA";
  }
}

function sysfsDevice({ address, id, driver, hasVfioDriver }: PciDevice): Finding {
  if (driver === null || hasVfioDriver) return ok('device', `${address} (${id}), driver ${driver ?? 'none'}`);
  return missing(
    'device',
    `${address} is bound to the driver ${driver}, which uses its BARs`,
    `"wcvmm bind ${address}" binds it to vfio-pci if nothing uses it`,
    true,
  );
}

/** sysfs has no cookies, and does not miss them. */
function unknownCookies(source: Source, why: string, fix: string | null = null): readonly Finding[] {
  return source === 'sysfs' ? [] : [unknown('cookies', why, fix, source === 'cookie')];
}

function cookies(port: Port, device: VfioDevice, source: Source): Finding {
  if (hasMmapCookies(port, device.fd))
    return ok('cookies', 'the kernel has VFIO_DEVICE_FEATURE_MMAP_COOKIE (probed): attributes can be chosen');
  return missing(
    'cookies',
    'the kernel has no VFIO_DEVICE_FEATURE_MMAP_COOKIE (probed): only default can be mapped',
    'boot a kernel with the series in kernel-patches/; or use --source legacy, or --source sysfs',
    source === 'cookie',
  );
}
