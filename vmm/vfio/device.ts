/**
 * A passthrough device, opened. The stages stand in the types: a PciDevice that was found becomes a VfioDevice only by
 * `openVfioDevice`, and only a VfioDevice has a file that cookies and mappings can be asked from.
 *
 *   iommufd    /dev/vfio/devices/vfioN --bind--> /dev/iommu --attach--> an IOAS
 *   container  /dev/vfio/vfio <--set-- /dev/vfio/GROUP --get device fd--> the same file operations
 *
 * Debian's own kernels have no iommufd, so the container is not a relic: "auto" takes whichever is there. Both ways also
 * lead to a device without an IOMMU (no-iommu.ts).
 */
import { WcvmmError } from '../../common/errors.ts';
import { guarded } from '../../common/scope.ts';
import type { Scope } from '../../common/scope.ts';
import { normaliseAddress, readPciDevice } from '../sys/pci.ts';
import type { PciDevice } from '../sys/pci.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import {
  VFIO_API_VERSION,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_NOIOMMU_IOMMU,
  VFIO_PCI,
  VFIO_TYPE1V2_IOMMU,
  attachPageTable,
  bindIommufd,
  containerHas,
  containerVersion,
  getRegionInfo,
  groupDeviceFd,
  groupFlags,
  groupSetContainer,
  setIommu,
} from '../sys/vfio.ts';
import { openNode } from '../sys/node.ts';
import { newIoas } from './dma.ts';
import type { Dma, DmaSpace } from './dma.ts';
import { groupNode, isNoIommu, rawIoNeeded } from './no-iommu.ts';

export type IommuPath = 'iommufd' | 'container';

export interface VfioDevice {
  readonly pci: PciDevice;
  readonly fd: number;
  /** The file by which KVM knows it: the device's own, or its group's. */
  readonly kvmFile: number;
  readonly dma: Dma;
}

/** Throws E_USAGE for a text that is no PCI address, E_DEVICE_ABSENT where sysfs has no such device. */
export function findDevice(port: Port, text: string): PciDevice {
  const address = normaliseAddress(text);
  if (address === null)
    throw new WcvmmError(
      'E_USAGE',
      `"${text}" is no PCI address; expected domain:bus:device.function, as in 0000:01:00.0.`,
    );
  const device = readPciDevice(port, address);
  if (device === null)
    throw new WcvmmError(
      'E_DEVICE_ABSENT',
      `there is no PCI device ${address} on this machine; "wcvmm devices --all" lists all.`,
    );
  return device;
}

/** Throws E_NO_IOMMU or E_DEVICE_DRIVER for a device that VFIO does not hold; it is not opened for that. */
export function requireVfioDriver({ address, driver, hasVfioDriver, iommuGroup, vfioCdev }: PciDevice): void {
  if (iommuGroup === null && vfioCdev === null) {
    throw new WcvmmError(
      'E_NO_IOMMU',
      `${address} is in no IOMMU group: the machine has no IOMMU, or it is off (firmware setting; intel_iommu=on). VFIO needs one, or its unsafe no-IOMMU mode (vfio.enable_unsafe_noiommu_mode=1 before the device is bound). Without either, --source sysfs still maps the BAR.`,
    );
  }
  if (hasVfioDriver) return;
  throw new WcvmmError(
    'E_DEVICE_DRIVER',
    `${address} is bound to ${driver === null ? 'no driver' : `the driver ${driver}`}; expected vfio-pci or a variant of it. "wcvmm bind ${address}" binds it to vfio-pci if nothing uses it.`,
  );
}

function openCdev(port: Port, scope: Scope, pci: PciDevice, sharedIommufd: number | null): VfioDevice {
  const node = `/dev/vfio/devices/${pci.vfioCdev}`;
  const noIommu = isNoIommu(port, pci);
  const fd = rawIoNeeded(noIommu, node, () =>
    openNode(
      port,
      scope,
      node,
      new WcvmmError('E_DEVICE_ABSENT', `${node} is missing though sysfs names it; is devtmpfs mounted on /dev?`),
    ),
  );
  const iommufd =
    sharedIommufd ??
    openNode(
      port,
      scope,
      '/dev/iommu',
      new WcvmmError('E_NO_IOMMU', '/dev/iommu is missing: this kernel has no iommufd. Use --iommu container.'),
    );
  bindBusy(pci, () => bindIommufd(port, fd, iommufd));
  if (noIommu) return { pci, fd, kvmFile: fd, dma: { kind: 'none' } };
  const dma = newIoas(port, iommufd);
  attachPageTable(port, fd, dma.ioas);
  return { pci, fd, kvmFile: fd, dma };
}

function openGroup(port: Port, scope: Scope, pci: PciDevice): VfioDevice {
  const noIommu = isNoIommu(port, pci);
  const container = openNode(
    port,
    scope,
    '/dev/vfio/vfio',
    new WcvmmError(
      'E_NO_IOMMU',
      '/dev/vfio/vfio is missing: this kernel has no VFIO container. Load the module vfio, or use --iommu iommufd.',
    ),
  );
  // The no-IOMMU type can be asked for only once the container has a group.
  if (
    containerVersion(port, container) !== VFIO_API_VERSION ||
    (!noIommu && !containerHas(port, container, VFIO_TYPE1V2_IOMMU))
  ) {
    throw new WcvmmError('E_NO_IOMMU', 'the VFIO container has no type1v2 IOMMU; load the module vfio_iommu_type1.');
  }
  const node = groupNode(pci, noIommu);
  const absent = new WcvmmError(
    'E_DEVICE_ABSENT',
    `${node} is missing; is another device of IOMMU group ${pci.iommuGroup} still bound to its driver?`,
  );
  const group = rawIoNeeded(noIommu, node, () => bindBusy(pci, () => openNode(port, scope, node, absent)));
  if ((groupFlags(port, group) & VFIO_GROUP_FLAGS_VIABLE) === 0) {
    throw new WcvmmError(
      'E_DEVICE_DRIVER',
      `IOMMU group ${pci.iommuGroup} of ${pci.address} is not viable: another device in it is bound to a driver. Bind every device of the group to vfio-pci.`,
    );
  }
  groupSetContainer(port, group, container);
  setIommu(port, container, noIommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1V2_IOMMU);
  const fd = groupDeviceFd(port, group, pci.address);
  scope.defer(() => port.close(fd));
  return { pci, fd, kvmFile: group, dma: noIommu ? { kind: 'none' } : { kind: 'container', container } };
}

function bindBusy<T>(pci: PciDevice, run: () => T): T {
  try {
    return run();
  } catch (error) {
    // EINVAL is how a character device that is bound to another process's iommufd answers (vfio_df_open).
    if (isErrno(error, 'EBUSY', 'EINVAL'))
      throw new WcvmmError(
        'E_DEVICE_DRIVER',
        `${pci.address} is in use by another process (${error.errnoName}). Stop it; "wcvmm devices" shows which.`,
        { cause: error },
      );
    throw error;
  }
}

const COMMAND_REGISTER = 4n;
const COMMAND_MEMORY = 2;
const COMMAND_MASTER = 4;

/** Reads the command register, and writes what `change` makes of it. */
function changeCommand(port: Port, { pci, fd }: VfioDevice, change: (command: number) => number): void {
  const at = getRegionInfo(port, fd, VFIO_PCI.configRegion).offset + COMMAND_REGISTER;
  const command = new Uint8Array(2);
  const whole = (moved: number): void => {
    if (moved !== command.byteLength)
      throw new WcvmmError(
        'E_SYSCALL',
        `the command register of ${pci.address} gave ${moved} of ${command.byteLength} bytes. Check that the device is still there; dmesg may say more.`,
      );
  };
  whole(port.pread(fd, command, at));
  command[0] = change(command[0] ?? 0);
  whole(port.pwrite(fd, command, at));
}

/**
 * A device whose memory decoding is off answers a mapping's touch with SIGBUS, so it is switched on first. Without an IOMMU
 * between it and memory the device may start no transfer of its own.
 */
export function enableMemory(port: Port, device: VfioDevice): void {
  changeCommand(port, device, (command) =>
    device.dma.kind === 'none' ? (command | COMMAND_MEMORY) & ~COMMAND_MASTER : command | COMMAND_MEMORY,
  );
}

/** Lets the device start transfers: it can only reach what is mapped for it in its IO address space. */
export function enableDma(port: Port, device: VfioDevice & { readonly dma: DmaSpace }): void {
  changeCommand(port, device, (command) => command | COMMAND_MASTER);
}

export interface OpenOptions {
  readonly iommu?: IommuPath | 'auto';
  /** An iommufd that another device has opened, so that both can share guest RAM's pinned pages. */
  readonly shared?: number;
  /** False to only ask the kernel about the device: its memory decoding then stays off. */
  readonly memory?: boolean;
}

/** The kernel resets the device's function when it is opened, if it can. */
export function openVfioDevice(port: Port, scope: Scope, pci: PciDevice, options: OpenOptions = {}): VfioDevice {
  requireVfioDriver(pci);
  const { iommu = 'auto', shared, memory = true } = options;
  const cdev = iommu === 'iommufd' || (iommu === 'auto' && pci.vfioCdev !== null && port.exists('/dev/iommu'));
  if (cdev && pci.vfioCdev === null) {
    throw new WcvmmError(
      'E_NO_IOMMU',
      `${pci.address} has no VFIO character device: this kernel's VFIO has no cdev support (CONFIG_VFIO_DEVICE_CDEV). Use --iommu container.`,
    );
  }
  return guarded((inner) => {
    const device = cdev ? openCdev(port, inner, pci, shared ?? null) : openGroup(port, inner, pci);
    if (memory) enableMemory(port, device);
    scope.defer(() => inner.close());
    return device;
  });
}
