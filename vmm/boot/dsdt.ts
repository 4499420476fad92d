/** What an x86 Linux guest cannot find by itself: PCI's host bridge, the serial port, and how to power off. */
import { device, eisaId, integer, joined, named, packageOf, scope } from './aml.ts';
import type { Aml } from './aml.ts';
import {
  busNumbers,
  edgeInterrupt,
  fixedMemory,
  ioPorts,
  memory32,
  prefetchable64,
  resourceTemplate,
} from './acpi-resources.ts';
import type { AddressRange } from './acpi-resources.ts';

export interface DsdtParts {
  /** Null: no host bridge. */
  readonly pci: {
    readonly ecam: AddressRange;
    readonly buses: number;
    readonly memory32: AddressRange;
    readonly memory64: AddressRange;
  } | null;
  /** Null: no serial port. */
  readonly serial: { readonly port: number; readonly interrupt: number } | null;
}

/** SLP_TYP of \_S5: what the sleep control register is to get for power-off. */
export const SLEEP_TYPE_OFF = 5;

const SERIAL_PORTS = 8;

export function dsdtTerms({ pci, serial }: DsdtParts): Aml {
  const zero = integer(0);
  const off = integer(SLEEP_TYPE_OFF);
  const devices = [
    ...(pci === null ? [] : [hostBridge(pci), motherboard(pci.ecam)]),
    ...(serial === null ? [] : [serialPort(serial.port, serial.interrupt)]),
  ];
  return joined(named('_S5', packageOf(off, zero, zero, zero)), scope('_SB', ...devices));
}

/** PCI Firmware Specification 3.3, chapter 4. */
function hostBridge({ buses, memory32: low, memory64: high }: NonNullable<DsdtParts['pci']>): Aml {
  return device(
    'PCI0',
    named('_HID', eisaId('PNP0A08')),
    named('_CID', eisaId('PNP0A03')),
    named('_SEG', integer(0)),
    named('_BBN', integer(0)),
    named('_UID', integer(0)),
    // DMA is coherent.
    named('_CCA', integer(1)),
    named(
      '_CRS',
      resourceTemplate(busNumbers({ from: 0n, length: BigInt(buses) }), memory32(low), prefetchable64(high)),
    ),
  );
}

/** Reserves the ECAM: Linux uses none that a device of this kind does not claim. */
function motherboard(ecam: AddressRange): Aml {
  return device(
    'MBRD',
    named('_HID', eisaId('PNP0C02')),
    named('_UID', integer(0)),
    named('_CRS', resourceTemplate(fixedMemory(ecam))),
  );
}

function serialPort(port: number, interrupt: number): Aml {
  return device(
    'COM1',
    named('_HID', eisaId('PNP0501')),
    named('_UID', integer(1)),
    named('_CRS', resourceTemplate(ioPorts(port, SERIAL_PORTS), edgeInterrupt(interrupt))),
  );
}
