/** Where BARs are: what the guest's registers say, and what the VMM writes into them at reset. Pure. */
import { WcvmmError } from '../../../common/errors.ts';
import { formatSize } from '../../../common/size.ts';
import type { AddressRange } from './options.ts';
import { NOWHERE } from './options.ts';

export interface BarRegister {
  /** What the register says, bytes. Beyond 2^53 it is not exact, and in no window. */
  readonly address: number;
  readonly size: number;
}

export interface DecodingFunction {
  /** Memory decoding is on. */
  readonly decodes: boolean;
  readonly bars: readonly BarRegister[];
}

/**
 * Where each BAR answers. One that is not whole in a window answers nowhere, and of two that overlap only the first does,
 * in the functions' order: so at any time, in the middle of an exchange of two addresses too, a byte has at most one BAR.
 */
export function placeBars(
  functions: readonly DecodingFunction[],
  windows: readonly AddressRange[],
): readonly (readonly number[])[] {
  const taken: AddressRange[] = [];
  return functions.map(({ decodes, bars }) =>
    bars.map(({ address, size }) => {
      const free =
        decodes &&
        windows.some(({ base, size: room }) => address >= base && address + size <= base + room) &&
        !taken.some((other) => address < other.base + other.size && other.base < address + size);
      if (!free) return NOWHERE;
      taken.push({ base: address, size });
      return address;
    }),
  );
}

export interface UnplacedBar {
  /** For the error: which device's. */
  readonly name: string;
  readonly size: number;
  readonly is64Bit: boolean;
  readonly prefetchable: boolean;
}

/** The windows of a host bridge: one below 4 GiB, and one that prefetchable 64-bit BARs go to. */
export interface BridgeWindows {
  readonly low: AddressRange;
  readonly high: AddressRange;
}

/**
 * First addresses, by size, the largest first, so that nothing is lost between them. Prefetchable 64-bit BARs go high;
 * others go low, and 64-bit ones that have no room there high.
 *
 * Throws E_PASSTHROUGH where they do not fit.
 */
export function assignBars(bars: readonly UnplacedBar[], { low, high }: BridgeWindows): readonly number[] {
  const next = { low: low.base, high: high.base };
  const take = (which: 'low' | 'high', size: number): number | null => {
    const { base, size: room } = which === 'low' ? low : high;
    const address = Math.ceil(next[which] / size) * size;
    if (address + size > base + room) return null;
    next[which] = address + size;
    return address;
  };
  const addresses = bars.map(() => 0);
  const largestFirst = bars.map((bar, index) => ({ ...bar, index })).toSorted((a, b) => b.size - a.size);
  for (const { index, name, size, is64Bit, prefetchable } of largestFirst) {
    const highFirst = is64Bit && prefetchable;
    const address =
      (highFirst ? take('high', size) : null) ?? take('low', size) ?? (is64Bit ? take('high', size) : null);
    if (address === null) throw noRoom(name, size, is64Bit ? [low, high] : [low]);
    addresses[index] = address;
  }
  return addresses;
}

function noRoom(name: string, size: number, windows: readonly AddressRange[]): WcvmmError {
  const rooms = windows.map((window) => formatSize(BigInt(window.size))).join(' and ');
  return new WcvmmError(
    'E_PASSTHROUGH',
    `${name} has ${formatSize(BigInt(size))}, and there is no room left for it in the guest's PCI windows of ${rooms}. Pass fewer devices to the guest.`,
  );
}
