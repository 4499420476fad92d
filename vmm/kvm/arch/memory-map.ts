/**
 * Where a bare guest finds things, in guest-physical bytes; alike on every architecture:
 *
 *   0x0_0900_0000   doorbell, one page with no memslot
 *   0x0_4000_0000   guest RAM, 4 MiB: image, parameters, cells, log (tool/verify/guest/abi.h)
 *   0x1_0000_0000   windows, up to the guest's 39 bits
 */
export const MEMORY_MAP = {
  ramBase: 0x4000_0000n,
  doorbell: 0x0900_0000n,
  windowBase: 0x1_0000_0000n,
  gpaLimit: 1n << 39n,
} as const;
