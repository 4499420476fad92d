/** PCI configuration space: where things are (PCI Local Bus 3.0, chapter 6; PCI Express Base 5.0, chapter 7). Bytes. */

export const CONFIG_SPACE = 256;
export const EXPRESS_CONFIG_SPACE = 4096;

export const REG = {
  id: 0x00,
  command: 0x04,
  status: 0x06,
  cacheLine: 0x0c,
  latency: 0x0d,
  headerType: 0x0e,
  bar0: 0x10,
  barsEnd: 0x28,
  subsystem: 0x2c,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
  end: 0x40,
} as const;

export const COMMAND = { memory: 2, master: 4 } as const;
export const STATUS_CAPABILITIES = 0x10;
export const HEADER_TYPE_MASK = 0x7f;

export const BAR_BITS = { io: 1, type: 6, type64: 4, prefetchable: 8, flags: 0xf } as const;

export const CAPABILITY = { power: 0x01, msi: 0x05, vendor: 0x09, express: 0x10, msix: 0x11 } as const;

/** Offsets and bits in the capabilities. */
export const POWER = { size: 8, capabilities: 2, control: 4, stateMask: 3, noSoftReset: 8 } as const;
export const EXPRESS = {
  sizeOfVersion: [20, 20, 60] as readonly number[],
  flags: 2,
  deviceCapabilities: 4,
  canReset: 2 ** 28,
  deviceControl: 8,
  reset: 0x8000,
} as const;
export const MSIX = {
  size: 12,
  control: 2,
  sizeMask: 0x7ff,
  maskAll: 0x4000,
  enable: 0x8000,
  table: 4,
  pending: 8,
  entry: 16,
  /** In an entry. */
  vectorControl: 12,
  masked: 1,
} as const;
export const MSI = {
  size32: 10,
  size64: 14,
  control: 2,
  enable: 1,
  is64: 0x80,
  address: 4,
  addressHigh: 8,
  data32: 8,
  data64: 12,
} as const;
