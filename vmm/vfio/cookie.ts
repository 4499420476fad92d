/**
 * Mmap cookies: an opaque mmap offset for one region of one device file, which carries a memory attribute
 * (VFIO_DEVICE_FEATURE_MMAP_COOKIE, kernel-patches/). A cookie never changes and lives as long as the device file.
 */
import type { Attribute } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';
import { MMAP_ATTRIBUTE, getMmapCookie, probeMmapCookie } from '../sys/vfio.ts';

export interface MmapCookie {
  /** What mmap takes; it means nothing else. */
  readonly offset: bigint;
  readonly length: bigint;
  readonly attribute: Attribute;
}

/** Asks the kernel: nothing is concluded from a version. */
export function hasMmapCookies(port: Port, device: number): boolean {
  try {
    probeMmapCookie(port, device);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTTY', 'EINVAL')) return false;
    throw error;
  }
}

export function requireMmapCookies(port: Port, device: number, wanted: readonly Attribute[]): void {
  if (hasMmapCookies(port, device)) return;
  throw new WcvmmError(
    'E_COOKIE_UNSUPPORTED',
    `this kernel cannot map a BAR as ${[...new Set(wanted)].join(', ') || 'a chosen attribute'}: its VFIO lacks the feature VFIO_DEVICE_FEATURE_MMAP_COOKIE ` +
      `(probed). Boot a kernel with the series in kernel-patches/ (see "wcvmm kernel build"), or use --source legacy for the attribute default, or --source sysfs.`,
  );
}

/**
 * The cookie of BAR `bar` with `attribute`; the same one each time that it is asked for.
 *
 * Throws WcvmmError: E_COOKIE_UNSUPPORTED (no such feature), E_COOKIE_REFUSED (this driver, platform or region cannot give
 * the attribute, or does not know it), E_COOKIE_EXHAUSTED (no room in the file's offset space).
 */
export function requestCookie(port: Port, device: number, bar: number, attribute: Attribute): MmapCookie {
  try {
    const { offset, size } = getMmapCookie(port, device, bar, MMAP_ATTRIBUTE[attribute]);
    return { offset, length: size, attribute };
  } catch (error) {
    if (isErrno(error, 'ENOTTY')) requireMmapCookies(port, device, [attribute]);
    if (isErrno(error, 'EOPNOTSUPP', 'EINVAL')) {
      const why =
        error.errnoName === 'EINVAL'
          ? 'it knows no such region or attribute'
          : 'the driver, the platform or the region cannot give it';
      throw new WcvmmError(
        'E_COOKIE_REFUSED',
        `the kernel refused an mmap cookie for BAR ${bar} with attribute ${attribute}: ${why} (${error.errnoName}). Ask for another attribute, or map the BAR as default.`,
        { cause: error },
      );
    }
    if (isErrno(error, 'ENOSPC')) {
      throw new WcvmmError(
        'E_COOKIE_EXHAUSTED',
        `the kernel has no mmap offsets left for BAR ${bar} with attribute ${attribute} on this device file. Close the device and ask for fewer cookies.`,
        { cause: error },
      );
    }
    throw error;
  }
}
