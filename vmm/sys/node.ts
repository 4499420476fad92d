/** Turns the refusals that a person meets on the way to a device into sentences. */
import { WcvmmError } from '../../common/errors.ts';
import { O_RDWR } from './libc.ts';
import { isErrno } from './port.ts';
import type { Port } from './port.ts';
import type { Scope } from '../../common/scope.ts';

/** Opens a character device for reading and writing; it is closed with `scope`. */
export function openNode(port: Port, scope: Scope, path: string, whenAbsent: WcvmmError): number {
  let fd: number;
  try {
    fd = port.open(path, O_RDWR);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV', 'ENXIO'))
      throw new WcvmmError(whenAbsent.code, whenAbsent.message, { cause: error });
    if (isErrno(error, 'EACCES', 'EPERM')) throw permission(path, error);
    throw error;
  }
  scope.defer(() => port.close(fd));
  return fd;
}

export function permission(path: string, cause: unknown): WcvmmError {
  return new WcvmmError(
    'E_PERMISSION',
    `this user may not open ${path} for reading and writing. Run as root, or give the user access to that file (and RLIMIT_MEMLOCK for guest RAM, or CAP_IPC_LOCK).`,
    { cause },
  );
}
