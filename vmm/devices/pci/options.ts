/**
 * What a vCPU's thread builds its part of the PCI host from: plain data that survives structured cloning. What the threads
 * share is in the SharedArrayBuffers, and is only touched while the host's lock is held.
 */
import type { GsiRoute } from '../../sys/kvm-irq.ts';
import type { DmaSpace } from '../../vfio/dma.ts';

/** Guest-physical bytes [base, base + size). */
export interface AddressRange {
  readonly base: number;
  readonly size: number;
}

export interface PciHostOptions {
  readonly vm: number;
  /** One word; see exclusively(). */
  readonly lock: SharedArrayBuffer;
  /** One word: what x86's port 0xcf8 holds. */
  readonly configAddress: SharedArrayBuffer;
  /** Where BARs can be. No RAM and no other device is there. */
  readonly windows: readonly AddressRange[];
  readonly functions: readonly FunctionOptions[];
  /** Routes of the VM that are not MSIs of these functions: KVM knows only tables as a whole. */
  readonly fixedRoutes: readonly GsiRoute[];
}

export interface FunctionOptions {
  /** device << 3 | function; bus 0. */
  readonly devfn: number;
  /** Configuration space as a reset leaves it. */
  readonly reset: Uint8Array;
  /** Its bits that the guest can change. */
  readonly writable: Uint8Array;
  /** Configuration space as the guest sees it now. */
  readonly config: SharedArrayBuffer;
  readonly bars: readonly BarOptions[];
  /** A 64-bit number for each of `bars`: where it answers, or NOWHERE. */
  readonly placed: SharedArrayBuffer;
  /** A 64-bit number for each slot of all `bars`, in their order: where it is, or NOWHERE. */
  readonly slots: SharedArrayBuffer;
  /** IO address spaces of other devices, which shall reach the BARs where the guest has them. */
  readonly peers: readonly DmaSpace[];
  /** A word for each of `bars` and each of `peers`: 1, the BAR is mapped there. */
  readonly peerMaps: SharedArrayBuffer;
  /** One word: accesses to BARs that were exits. */
  readonly exits: SharedArrayBuffer;
  /** Offset of the power management capability; null: none. */
  readonly power: number | null;
  /** Offset of the PCI Express capability of a function that can be reset by it; null: none. */
  readonly functionReset: number | null;
  readonly interrupts: InterruptOptions | null;
  /** The real function; null for one that is only configuration space. */
  readonly device: DeviceOptions | null;
}

export const NOWHERE = -1;

/** A memory BAR. */
export interface BarOptions {
  readonly bar: number;
  readonly is64Bit: boolean;
  /** Bytes; a power of two, and at least 16. */
  readonly size: number;
  /** Host-virtual address where the BAR would begin if all of it were mapped. */
  readonly hva: bigint;
  /** What of it is mapped there: offsets and lengths. */
  readonly mapped: readonly { readonly offset: number; readonly length: number }[];
  /** What of it becomes memslots; within `mapped`, whole pages. */
  readonly slots: readonly { readonly slot: number; readonly offset: number; readonly length: number }[];
  /** Where VFIO's file has the BAR for pread and pwrite. */
  readonly fileOffset: bigint;
  /** A DMA-buf of all of it, for peers by iommufd; null: there is none. */
  readonly dmaBuf: number | null;
}

export interface DeviceOptions {
  readonly fd: number;
  /** Where VFIO's file has configuration space. */
  readonly configOffset: bigint;
  /** Parts of configuration space that are read from the device and written to it. */
  readonly live: readonly { readonly at: number; readonly length: number }[];
  readonly canReset: boolean;
  /** The device may start transfers when the guest lets it: guest RAM is all that it can reach. */
  readonly mayTransfer: boolean;
  /** The real command register, less what the guest decides. */
  readonly command: number;
}

export interface InterruptOptions {
  readonly kind: 'msix' | 'msi';
  /** Offset of the capability. */
  readonly at: number;
  readonly vectors: number;
  /** Of vector 0; the others follow. */
  readonly gsi: number;
  /** What an ITS knows the function by; null where there is none. */
  readonly deviceId: number | null;
  /** See IrqInfo. */
  readonly noResize: boolean;
  /** VECTOR_WORDS words for each vector, and one. */
  readonly state: SharedArrayBuffer;
  /** MSI-X only: the entries, and where in the BARs they and the pending bits are. */
  readonly table: MsixTable | null;
}

export interface MsixTable {
  readonly entries: SharedArrayBuffer;
  readonly bar: number;
  readonly offset: number;
  readonly pendingBar: number;
  readonly pendingOffset: number;
}
