/**
 * VFIO's no-IOMMU mode (CONFIG_VFIO_NOIOMMU, CONFIG_IOMMUFD_NOIOMMU; the module parameter enable_unsafe_noiommu_mode):
 * a device is opened like any other, and nothing translates or confines what it does to memory. wcvmm only maps its BARs
 * and lets it start no transfer.
 */
import { WcvmmError } from '../../common/errors.ts';
import type { PciDevice } from '../sys/pci.ts';
import { pciFolder } from '../sys/pci.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

/** True if VFIO holds the device in this mode: the kernel says so in the names of the character device and of the group. */
export function isNoIommu(port: Port, { address, vfioCdev }: PciDevice): boolean {
  if (vfioCdev !== null && vfioCdev.startsWith('noiommu-')) return true;
  const name = `${pciFolder(address)}/iommu_group/name`;
  return port.exists(name) && port.readText(name).trim() === 'vfio-noiommu';
}

/** May a device without an IOMMU be bound? It gets its group only then. */
export function noIommuIsAllowed(port: Port): boolean {
  const parameter = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode';
  return port.exists(parameter) && /^[Y1]/.test(port.readText(parameter));
}

export function groupNode({ iommuGroup }: PciDevice, noIommu: boolean): string {
  return `/dev/vfio/${noIommu ? 'noiommu-' : ''}${iommuGroup}`;
}

/** In this mode the kernel asks for a capability beside the file's permissions. */
export function rawIoNeeded<T>(noIommu: boolean, node: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const refused = error instanceof WcvmmError && error.code === 'E_PERMISSION' && isErrno(error.cause, 'EPERM');
    if (!noIommu || !refused) throw error;
    throw new WcvmmError(
      'E_PERMISSION',
      `${node} is a device without an IOMMU, which only a process with CAP_SYS_RAWIO may open. Run as root.`,
      { cause: error },
    );
  }
}
