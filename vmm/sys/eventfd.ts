/** eventfd(2): a counter that the kernel's parts can signal each other by. Port.eventfd makes one that never blocks. */
import { isErrno } from './port.ts';
import type { Port } from './port.ts';

const ONE = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

export function signalEvent(port: Port, eventfd: number): void {
  port.write(eventfd, ONE);
}

/** Takes all signals that nobody has taken yet; false where there are none. */
export function takeEvents(port: Port, eventfd: number): boolean {
  try {
    port.read(eventfd, new Uint8Array(8));
    return true;
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return false;
    throw error;
  }
}
