/** Addresses of buffers, in structures that the kernel reads. */
import type { Port } from './port.ts';

const inUse = new Set<Uint8Array>();

/**
 * Calls `use` with the address of `buffer`, which stays alive until `use` returns. An address alone does not keep it: once
 * optimised code has no further use for a buffer, a garbage collection during the ioctl frees what the kernel looks at.
 */
export function withAddress<T>(port: Port, buffer: Uint8Array, use: (address: bigint) => T): T {
  inUse.add(buffer);
  try {
    return use(port.addressOf(buffer));
  } finally {
    inUse.delete(buffer);
  }
}
