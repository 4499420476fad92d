/** What a device had before `bind`: a file of /run, which does not outlive the boot, as the binding does not. */
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const STATE = '/run/wcvmm';

export interface Former {
  readonly driver: string | null;
  /** Empty = none. */
  readonly override: string;
}

export function statePath(address: string): string {
  return `${STATE}/bound-${address}.json`;
}

const DRIVER_NAME = /^[\w-]{1,64}$/;

/** What `bind` wrote down, or null. A file that says anything else than driver names is not believed. */
export function readFormer(port: Port, address: string): Former | null {
  try {
    const { driver, override } = JSON.parse(port.readText(statePath(address))) as Record<string, unknown>;
    const isDriver = driver === null || (typeof driver === 'string' && DRIVER_NAME.test(driver));
    if (!isDriver || typeof override !== 'string' || (override !== '' && !DRIVER_NAME.test(override))) return null;
    return { driver, override };
  } catch (error) {
    if (error instanceof SysError || error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
