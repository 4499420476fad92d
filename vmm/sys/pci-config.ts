/**
 * PCI configuration space, as far as it says where the MSI-X table is: PCI Local Bus Specification 3.0, sections 6.7 (the
 * capability list) and 6.8.2 (MSI-X). All offsets and lengths are bytes.
 */
import { O_RDONLY } from './libc.ts';
import { pciFolder } from './pci.ts';
import { SysError } from './port.ts';
import type { Port } from './port.ts';

const STATUS = 0x06;
const STATUS_CAPABILITIES = 1 << 4;
const CAPABILITIES_POINTER = 0x34;
const CAPABILITY_MSIX = 0x11;
const FIRST_CAPABILITY = 0x40;
const CONFIG_SIZE = 256;
const TABLE_ENTRY = 16;

export interface MsixArea {
  readonly bar: number;
  readonly offset: bigint;
  readonly length: bigint;
}

export interface Msix {
  readonly vectors: number;
  readonly table: MsixArea;
  /** The pending bit array. */
  readonly pending: MsixArea;
}

/** Offset of a capability's header; null where there is none, or the list leaves the space or runs in a circle. */
function findCapability(config: DataView, id: number): number | null {
  if (config.byteLength < CONFIG_SIZE || (config.getUint16(STATUS, true) & STATUS_CAPABILITIES) === 0) return null;
  const seen = new Set<number>();
  let at = config.getUint8(CAPABILITIES_POINTER) & 0xfc;
  while (at >= FIRST_CAPABILITY && !seen.has(at)) {
    if (config.getUint8(at) === id) return at;
    seen.add(at);
    at = config.getUint8(at + 1) & 0xfc;
  }
  return null;
}

export function parseMsix(bytes: Uint8Array): Msix | null {
  const config = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = findCapability(config, CAPABILITY_MSIX);
  if (at === null || at + 12 > bytes.byteLength) return null;
  const vectors = (config.getUint16(at + 2, true) & 0x7ff) + 1;
  // The low three bits say which BAR, the rest is the offset in it.
  const area = (from: number, length: number): MsixArea => {
    const word = config.getUint32(from, true);
    return { bar: word & 7, offset: BigInt((word & ~7) >>> 0), length: BigInt(length) };
  };
  return { vectors, table: area(at + 4, vectors * TABLE_ENTRY), pending: area(at + 8, Math.ceil(vectors / 64) * 8) };
}

/** `unknown`: only root may read beyond the first 64 bytes. */
export function readMsix(port: Port, address: string): Msix | null | 'unknown' {
  const config = new Uint8Array(CONFIG_SIZE);
  try {
    const fd = port.open(`${pciFolder(address)}/config`, O_RDONLY);
    try {
      return port.pread(fd, config, 0n) < CONFIG_SIZE ? 'unknown' : parseMsix(config);
    } finally {
      port.close(fd);
    }
  } catch (error) {
    if (error instanceof SysError) return 'unknown';
    throw error;
  }
}
