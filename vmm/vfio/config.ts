/** A device's configuration space, as VFIO shows it. */
import { WcvmmError } from '../../common/errors.ts';
import type { Port } from '../sys/port.ts';
import { VFIO_PCI, getRegionInfo } from '../sys/vfio.ts';
import type { VfioDevice } from './device.ts';

const WITHOUT_EXTENDED = 256;

export interface ConfigSpace {
  /** Where it is in the device's file. */
  readonly offset: bigint;
  /** The first 256 bytes. */
  readonly bytes: Uint8Array;
}

/** Throws E_SYSCALL where the device does not give all of it. */
export function readConfigSpace(port: Port, { fd, pci }: VfioDevice): ConfigSpace {
  const { offset, size } = getRegionInfo(port, fd, VFIO_PCI.configRegion);
  const bytes = new Uint8Array(WITHOUT_EXTENDED);
  const got = size < BigInt(WITHOUT_EXTENDED) ? Number(size) : port.pread(fd, bytes, offset);
  if (got === WITHOUT_EXTENDED) return { offset, bytes };
  throw new WcvmmError(
    'E_SYSCALL',
    `the configuration space of ${pci.address} gave ${got} of ${WITHOUT_EXTENDED} bytes. Check that the device is still there; dmesg may say more.`,
  );
}
