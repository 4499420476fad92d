/**
 * A passed-through function's configuration space as a guest shall see it: what it has, what of it the guest may write, and
 * what stays between guest and device. Pure. Everything comes from the device, and is not trusted.
 *
 * Kept: identity; BARs of memory; the capabilities for power management (states are only remembered: a device asleep would
 * make the host's mappings fault), MSI-X or MSI, PCI Express and the vendor's own. Left out: I/O BARs, the ROM, INTx, every
 * other capability, and all extended ones.
 */
import { WcvmmError } from '../../../common/errors.ts';
import {
  BAR_BITS,
  CAPABILITY,
  COMMAND,
  CONFIG_SPACE,
  EXPRESS,
  EXPRESS_CONFIG_SPACE,
  HEADER_TYPE_MASK,
  MSI,
  MSIX,
  POWER,
  REG,
  STATUS_CAPABILITIES,
} from './registers.ts';

export interface GuestBar {
  readonly bar: number;
  readonly size: number;
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
}

export interface GuestConfig {
  /** After a reset, BARs at 0. */
  readonly reset: Uint8Array;
  readonly writable: Uint8Array;
  readonly bars: readonly GuestBar[];
  readonly live: readonly { readonly at: number; readonly length: number }[];
  readonly power: number | null;
  readonly functionReset: number | null;
  readonly interrupts: GuestInterrupts | null;
}

export type GuestInterrupts =
  | { readonly kind: 'msi'; readonly at: number; readonly vectors: number }
  | {
      readonly kind: 'msix';
      readonly at: number;
      readonly vectors: number;
      readonly table: { readonly bar: number; readonly offset: number };
      readonly pending: { readonly bar: number; readonly offset: number };
    };

interface Found {
  readonly id: number;
  readonly at: number;
  /** To where the next one starts. */
  readonly room: number;
}

/**
 * @param name for errors @param bytes configuration space as VFIO gives it @param sizeOf a BAR's size; 0: it has no memory
 * @throws WcvmmError E_PASSTHROUGH for a bridge, and for a device whose only interrupts are INTx
 */
export function guestConfig(name: string, bytes: Uint8Array, sizeOf: (bar: number) => number): GuestConfig {
  const real = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < CONFIG_SPACE) throw refused(name, `its configuration space has ${bytes.byteLength} bytes`);
  if ((real.getUint8(REG.headerType) & HEADER_TYPE_MASK) !== 0) throw refused(name, 'it is a bridge');
  const reset = new Uint8Array(EXPRESS_CONFIG_SPACE);
  const writable = new Uint8Array(EXPRESS_CONFIG_SPACE);
  const view = new DataView(reset.buffer);
  const writes = new DataView(writable.buffer);
  for (const [from, to] of [
    [REG.id, REG.command],
    [REG.status + 2, REG.cacheLine],
    [REG.subsystem, REG.subsystem + 4],
  ] as const)
    reset.set(bytes.subarray(from, to), from);
  // Memory, bus master, parity, SERR and INTx disable.
  writes.setUint16(REG.command, COMMAND.memory | COMMAND.master | 0x540, true);
  writable.fill(0xff, REG.cacheLine, REG.latency + 1);
  writable[REG.interruptLine] = 0xff;
  const bars = keepBars(real, view, writes, sizeOf);
  const kept = keepCapabilities(name, real, view, writes);
  return { reset, writable, bars, ...kept };
}

function keepBars(real: DataView, view: DataView, writes: DataView, sizeOf: (bar: number) => number): GuestBar[] {
  const bars: GuestBar[] = [];
  for (let bar = 0, at: number = REG.bar0; at < REG.barsEnd; bar += 1, at += 4) {
    const flags = real.getUint32(at, true) & BAR_BITS.flags;
    const size = sizeOf(bar);
    const is64Bit = (flags & BAR_BITS.type) === BAR_BITS.type64 && at + 4 < REG.barsEnd;
    if ((flags & BAR_BITS.io) !== 0 || size < 16 || !Number.isInteger(Math.log2(size))) {
      // The upper half of a 64-bit one is not looked at as one of its own.
      if (is64Bit && (flags & BAR_BITS.io) === 0) [bar, at] = [bar + 1, at + 4];
      continue;
    }
    bars.push({ bar, size, is64Bit, prefetchable: (flags & BAR_BITS.prefetchable) !== 0 });
    view.setUint32(at, is64Bit ? flags : flags & BAR_BITS.prefetchable, true);
    const mask = ~(BigInt(size) - 1n);
    writes.setUint32(at, Number(BigInt.asUintN(32, mask)), true);
    if (!is64Bit) continue;
    writes.setUint32(at + 4, Number(BigInt.asUintN(32, mask >> 32n)), true);
    [bar, at] = [bar + 1, at + 4];
  }
  return bars;
}

/** The chain as the device has it; one that leaves the space or runs in a circle ends there. */
function findCapabilities(real: DataView): readonly Found[] {
  if ((real.getUint16(REG.status, true) & STATUS_CAPABILITIES) === 0) return [];
  const starts: number[] = [];
  for (let at = real.getUint8(REG.capabilities) & 0xfc; at >= REG.end && !starts.includes(at);) {
    starts.push(at);
    at = real.getUint8(at + 1) & 0xfc;
  }
  const end = (at: number): number => Math.min(CONFIG_SPACE, ...starts.filter((other) => other > at));
  return starts.map((at) => ({ id: real.getUint8(at), at, room: end(at) - at }));
}

type Capabilities = Pick<GuestConfig, 'live' | 'power' | 'functionReset' | 'interrupts'>;

function keepCapabilities(name: string, real: DataView, view: DataView, writes: DataView): Capabilities {
  const found = findCapabilities(real);
  const first = (id: number, size: number): Found | null =>
    found.find((one) => one.id === id && one.room >= size) ?? null;
  const [power, express] = [first(CAPABILITY.power, POWER.size), first(CAPABILITY.express, EXPRESS.deviceControl + 4)];
  const msix = first(CAPABILITY.msix, MSIX.size);
  const msi = msix === null ? first(CAPABILITY.msi, MSI.size32) : null;
  const vendor = found.filter(({ id, room }) => id === CAPABILITY.vendor && room > 2);
  const interrupts = msix !== null ? keepMsix(msix, real, view, writes) : msi && keepMsi(msi, real, view, writes);
  if (interrupts === null && real.getUint8(REG.interruptPin) !== 0) {
    throw refused(name, 'its only interrupts are INTx (it has neither MSI-X nor MSI)');
  }
  if (power !== null) keepPower(power.at, real, view, writes);
  const kept = [power, express, msix, msi, ...vendor].filter((one) => one !== null).toSorted((a, b) => a.at - b.at);
  for (const [index, { id, at }] of kept.entries()) {
    view.setUint8(index === 0 ? REG.capabilities : (kept[index - 1]?.at ?? 0) + 1, at);
    view.setUint8(at, id);
  }
  if (kept.length > 0) view.setUint16(REG.status, STATUS_CAPABILITIES, true);
  const live = vendor.map(({ at, room }) => ({ at: at + 2, length: vendorLength(real, at, room) - 2 }));
  if (express !== null) live.push({ at: express.at + 2, length: expressLength(real, express) - 2 });
  const canReset = express !== null && real.getUint32(express.at + EXPRESS.deviceCapabilities, true) & EXPRESS.canReset;
  return { live, interrupts, power: power?.at ?? null, functionReset: canReset ? express.at : null };
}

function vendorLength(real: DataView, at: number, room: number): number {
  return Math.min(Math.max(real.getUint8(at + 2), 3), room);
}

function expressLength(real: DataView, { at, room }: Found): number {
  return Math.min(EXPRESS.sizeOfVersion[real.getUint8(at + EXPRESS.flags) & 0xf] ?? 60, room);
}

/** No wake-up events, no data; and going to sleep and back is no reset, for that is the truth. */
function keepPower(at: number, real: DataView, view: DataView, writes: DataView): void {
  view.setUint16(at + POWER.capabilities, real.getUint16(at + POWER.capabilities, true) & 0x07ff, true);
  view.setUint16(at + POWER.control, POWER.noSoftReset, true);
  writes.setUint16(at + POWER.control, POWER.stateMask, true);
}

function keepMsix({ at }: Found, real: DataView, view: DataView, writes: DataView): GuestInterrupts {
  const vectors = (real.getUint16(at + MSIX.control, true) & MSIX.sizeMask) + 1;
  const [table, pending] = [real.getUint32(at + MSIX.table, true), real.getUint32(at + MSIX.pending, true)];
  view.setUint16(at + MSIX.control, vectors - 1, true);
  writes.setUint16(at + MSIX.control, MSIX.enable | MSIX.maskAll, true);
  view.setUint32(at + MSIX.table, table, true);
  view.setUint32(at + MSIX.pending, pending, true);
  return { kind: 'msix', at, vectors, table: placeIn(table), pending: placeIn(pending) };
}

/** The low three bits say which BAR. */
function placeIn(word: number): { readonly bar: number; readonly offset: number } {
  return { bar: word & 7, offset: (word & ~7) >>> 0 };
}

/**
 * One vector, for many a host can give a device no more, which is known only when the guest asks; a device must do with fewer
 * than it has. And without masks of its own: what the guest does not see needs nobody to keep it.
 */
function keepMsi({ at, room }: Found, real: DataView, view: DataView, writes: DataView): GuestInterrupts {
  const control = real.getUint16(at + MSI.control, true);
  const is64 = (control & MSI.is64) !== 0 && room >= MSI.size64;
  view.setUint16(at + MSI.control, is64 ? MSI.is64 : 0, true);
  writes.setUint16(at + MSI.control, MSI.enable, true);
  writes.setUint32(at + MSI.address, 0xffff_fffc, true);
  if (is64) writes.setUint32(at + MSI.addressHigh, 0xffff_ffff, true);
  writes.setUint16(at + (is64 ? MSI.data64 : MSI.data32), 0xffff, true);
  return { kind: 'msi', at, vectors: 1 };
}

function refused(name: string, why: string): WcvmmError {
  return new WcvmmError(
    'E_PASSTHROUGH',
    `${name} cannot be passed to a Linux guest: ${why}. Expected an ordinary PCI function with MSI-X, MSI or no interrupts at all.`,
  );
}
