/** The driver that a device had before `bind`, in a file of /run: it does not outlive the boot, and neither does the binding. */
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const STATE = '/run/wcvmm';

export interface PreviousDriver {
  readonly driver: string | null;
  /** Empty = none. */
  readonly override: string;
}

export function recordPath(address: string): string {
  return `${STATE}/bound-${address}.json`;
}

const DRIVER_NAME = /^[\w-]{1,64}$/;

/** What `bind` recorded, or null. A file that holds anything but driver names is not believed. */
export function readPreviousDriver(port: Port, address: string): PreviousDriver | null {
  try {
    const { driver, override } = JSON.parse(port.readText(recordPath(address))) as Record<string, unknown>;
    const isDriver = driver === null || (typeof driver === 'string' && DRIVER_NAME.test(driver));
    if (!isDriver || typeof override !== 'string' || (override !== '' && !DRIVER_NAME.test(override))) return null;
    return { driver, override };
  } catch (error) {
    if (error instanceof SysError || error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
