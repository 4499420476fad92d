/**
 * PCI configuration space, as far as it says where the MSI-X table is: PCI Local Bus Specification 3.0, sections 6.7 (the
 * capability list) and 6.8.2 (MSI-X). All offsets and lengths are bytes.
 */
import { structure } from '../../common/structure.ts';
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
const MSIX_SIZE = 12;

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

const readHeader = structure<{ status: number; capabilities: number }>((parser) =>
  parser
    .skip(STATUS)
    .uint16('status')
    .skip(CAPABILITIES_POINTER - STATUS - 2)
    .uint8('capabilities'),
);
const readCapability = structure<{ id: number; next: number }>((parser) => parser.uint8('id').uint8('next'));
/** Section 6.8.2: in the last two words the low three bits say which BAR, the rest is the offset in it. */
const readMsixCapability = structure<{ control: number; table: number; pending: number }>((parser) =>
  parser.skip(2).uint16('control').uint32('table').uint32('pending'),
);

/** A capability from its header on; null where there is none, or the list leaves the space or runs in a circle. */
function findCapability(config: Uint8Array, id: number): Uint8Array | null {
  if (config.byteLength < CONFIG_SIZE) return null;
  const { status, capabilities } = readHeader(config);
  if ((status & STATUS_CAPABILITIES) === 0) return null;
  const seen = new Set<number>();
  let at = capabilities & 0xfc;
  while (at >= FIRST_CAPABILITY && !seen.has(at)) {
    const capability = config.subarray(at);
    const header = readCapability(capability);
    if (header.id === id) return capability;
    seen.add(at);
    at = header.next & 0xfc;
  }
  return null;
}

export function parseMsix(config: Uint8Array): Msix | null {
  const capability = findCapability(config, CAPABILITY_MSIX);
  if (capability === null || capability.byteLength < MSIX_SIZE) return null;
  const { control, table, pending } = readMsixCapability(capability);
  const vectors = (control & 0x7ff) + 1;
  return {
    vectors,
    table: areaOf(table, vectors * TABLE_ENTRY),
    pending: areaOf(pending, Math.ceil(vectors / 64) * 8),
  };
}

function areaOf(word: number, length: number): MsixArea {
  return { bar: word & 7, offset: BigInt((word & ~7) >>> 0), length: BigInt(length) };
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
