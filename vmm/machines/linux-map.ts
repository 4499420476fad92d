/**
 * Where a Linux guest finds things, in guest-physical bytes. RAM begins where an IOMMU keeps no IOVAs of its own for
 * interrupts (arm64: 128 to 129 MiB; x86: 0xfee0_0000, 1 MiB), since a device reaches RAM at the same numbers.
 *
 *   arm64                                               x86
 *   0x00_0800_0000  GIC distributor, 64K                0x00_0000_0000  RAM, up to 3 GiB
 *   0x00_0808_0000  GIC ITS, 128K                       0x00_c000_0000  32-bit BARs, 512M
 *   0x00_080a_0000  GIC redistributors, 128K a vCPU     0x00_e000_0000  PCI configuration (ECAM), 1M a bus
 *   0x00_0900_0000  UART, 4K                            0x00_fec0_0000  IOAPIC, 4K
 *   0x00_0901_0000  real-time clock, 4K
 *   0x00_1000_0000  32-bit BARs, 752M                   0x00_fee0_0000  local APICs, 4K; interrupts of devices, 1M
 *   0x00_3f00_0000  PCI configuration (ECAM), 1M a bus  0x00_feff_c000  KVM's own, four pages
 *   0x00_4000_0000  RAM, without a hole                 0x01_0000_0000  the rest of RAM
 *   0x40_0000_0000  64-bit prefetchable BARs, 256G      0x40_0000_0000  64-bit prefetchable BARs, 256G
 *
 * Everything ends below 39 bits, which every CPU with KVM has that this VMM runs on. For more RAM, or larger BARs, the space that
 * the CPU has is halved: RAM goes on up to the middle, and the 64-bit BARs follow.
 */
import type { Arch } from '../../memattr/index.ts';
import type { RamRange } from '../memory/ram.ts';

export interface LinuxMap {
  /** Of a guest-physical address. */
  readonly bits: number;
  readonly ram: {
    readonly from: bigint;
    readonly limit: bigint;
    /** Beside what an IOMMU keeps. */
    readonly holes: readonly RamRange[];
  };
  readonly pci: {
    readonly ecam: RamRange;
    /** The ECAM has 1 MiB for each bus from 0 on. */
    readonly buses: number;
    readonly memory32: RamRange;
    readonly memory64: RamRange;
  };
}

const MIB = 1n << 20n;
const GIB = 1n << 30n;

const LEAST_BITS = 39;
/** Linux with four levels of page tables maps no more RAM at once. */
const MOST_BITS = 46;

const memory64 = { gpa: 256n * GIB, length: 256n * GIB };

export const LINUX_MAP: Readonly<Record<Arch, LinuxMap>> = {
  arm64: {
    bits: LEAST_BITS,
    ram: { from: GIB, limit: memory64.gpa, holes: [] },
    pci: {
      ecam: { gpa: 0x3f00_0000n, length: 16n * MIB },
      buses: 16,
      memory32: { gpa: 0x1000_0000n, length: 0x2f00_0000n },
      memory64,
    },
  },
  x86: {
    bits: LEAST_BITS,
    ram: { from: 0n, limit: memory64.gpa, holes: [{ gpa: 3n * GIB, length: GIB }] },
    pci: {
      ecam: { gpa: 0xe000_0000n, length: 16n * MIB },
      buses: 16,
      memory32: { gpa: 3n * GIB, length: 512n * MIB },
      memory64,
    },
  },
};

export interface LinuxSpace {
  /** Bytes. */
  readonly ramLength: bigint;
  /** Sizes of all BARs together, bytes. */
  readonly barBytes: bigint;
  /** Of a guest-physical address, that KVM has here. */
  readonly bits: number;
}

/** The map that has room for these, or the usual one where none has. */
export function linuxMap(arch: Arch, { ramLength, barBytes, bits }: LinuxSpace): LinuxMap {
  const usual = LINUX_MAP[arch];
  const { from, limit, holes } = usual.ram;
  const ramRoom = limit - from - holes.reduce((sum, { length }) => sum + length, 0n);
  // Half of the window is for what alignment costs, and for where Linux moves a BAR.
  const isEnough = ramLength <= ramRoom && 2n * barBytes <= usual.pci.memory64.length;
  const most = Math.min(bits, MOST_BITS);
  if (isEnough || most <= LEAST_BITS) return usual;
  const half = 1n << BigInt(most - 1);
  const pci = { ...usual.pci, memory64: { gpa: half, length: half } };
  return { bits: most, ram: { ...usual.ram, limit: half }, pci };
}

export const ARM64_MAP = {
  gicDistributor: 0x0800_0000n,
  gicIts: 0x0808_0000n,
  gicRedistributors: 0x080a_0000n,
  uart: 0x0900_0000n,
  rtc: 0x0901_0000n,
} as const;

export const X86_MAP = {
  ioApic: 0xfec0_0000,
  localApic: 0xfee0_0000,
  /** Of KVM on Intel: one page, and three after it. */
  identityMap: 0xfeff_c000n,
  tss: 0xfeff_d000,
  acpiTables: 0xe_0000n,
} as const;
