/** ACPI's tables (ACPI 6.5, 5.2), hardware-reduced: no legacy hardware is there, and nothing is asked of any. */
import { joined, littleEndian } from './aml.ts';
import type { Aml } from './aml.ts';

/** An I/O port of 8 bits. */
type Port8 = number;

export interface AcpiMachine {
  /** The DSDT's terms. */
  readonly dsdt: Aml;
  readonly cpus: number;
  readonly localApic: number;
  readonly ioApic: { readonly base: number; readonly id: number };
  /** ISA interrupts that are edges at the IOAPIC's pin of the same number. */
  readonly isaInterrupts: readonly number[];
  readonly ecam: { readonly base: bigint; readonly lastBus: number };
  readonly sleepControl: Port8;
  readonly sleepStatus: Port8;
  readonly reset: { readonly port: Port8; readonly value: number };
}

const HEADER = 36;
const ALIGNMENT = 16;

/** The RSDP first, then the tables that it leads to. @param at guest-physical, below 4 GiB */
export function acpiTables(machine: AcpiMachine, at: bigint): Uint8Array {
  const parts: Uint8Array[] = [];
  let end = at + 64n;
  const place = (bytes: Uint8Array): bigint => {
    const start = end;
    const padded = new Uint8Array(Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT);
    padded.set(bytes);
    parts.push(padded);
    end += BigInt(padded.length);
    return start;
  };
  const dsdt = place(table('DSDT', 2, machine.dsdt));
  const others = [fadt(machine, dsdt), madt(machine), mcfg(machine)].map(place);
  const xsdt = place(table('XSDT', 1, joined(...others.map((address) => littleEndian(address, 8)))));
  const first = new Uint8Array(64);
  first.set(rsdp(xsdt));
  return joined(first, ...parts);
}

function rsdp(xsdt: bigint): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from('RSD PTR '));
  bytes.set(OEM, 9);
  view.setUint8(15, 2);
  view.setUint32(20, bytes.length, true);
  view.setBigUint64(24, xsdt, true);
  // The first checksum is of the 20 bytes that ACPI 1.0 knew, the second of all.
  view.setUint8(8, checksum(bytes.subarray(0, 20)));
  view.setUint8(32, checksum(bytes));
  return bytes;
}

const OEM = Buffer.from('WCVMM ');

function table(signature: string, revision: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + content.length);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from(signature));
  view.setUint32(4, bytes.length, true);
  view.setUint8(8, revision);
  bytes.set(OEM, 10);
  bytes.set(Buffer.from('WCVMMTBL'), 16);
  view.setUint32(24, 1, true);
  bytes.set(Buffer.from('WCVM'), 28);
  view.setUint32(32, 1, true);
  bytes.set(content, HEADER);
  view.setUint8(9, checksum(bytes));
  return bytes;
}

/** What makes the sum of all bytes 0 modulo 256. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

const FADT_FLAG = {
  writeBackInvalidate: 1,
  noPowerButton: 1 << 4,
  noSleepButton: 1 << 5,
  resets: 1 << 10,
  hardwareReduced: 1 << 20,
} as const;
const BOOT_NO_VGA = 1 << 2;
const PROFILE_SERVER = 4;

function fadt({ sleepControl, sleepStatus, reset }: AcpiMachine, dsdt: bigint): Uint8Array {
  const content = new Uint8Array(276 - HEADER);
  const view = new DataView(content.buffer);
  const at = (offset: number): number => offset - HEADER;
  view.setUint32(at(40), Number(dsdt), true);
  view.setUint8(at(45), PROFILE_SERVER);
  view.setUint16(at(109), BOOT_NO_VGA, true);
  const flags = Object.values(FADT_FLAG).reduce((sum, flag) => sum | flag, 0);
  view.setUint32(at(112), flags, true);
  content.set(portAddress(reset.port), at(116));
  view.setUint8(at(128), reset.value);
  view.setUint8(at(131), 5);
  view.setBigUint64(at(140), dsdt, true);
  content.set(portAddress(sleepControl), at(244));
  content.set(portAddress(sleepStatus), at(256));
  content.set(Buffer.from('WCVMM\0\0\0'), at(268));
  return table('FACP', 6, content);
}

/** A Generic Address Structure: 8 bits of system I/O, accessed as a byte. */
function portAddress(port: Port8): Uint8Array {
  return joined(Uint8Array.of(1, 8, 0, 1), littleEndian(BigInt(port), 8));
}

function madt({ cpus, localApic, ioApic, isaInterrupts }: AcpiMachine): Uint8Array {
  const flags = 0n;
  const processors = Array.from({ length: cpus }, (_, id) => joined(Uint8Array.of(0, 8, id, id), littleEndian(1n, 4)));
  const controller = joined(
    Uint8Array.of(1, 12, ioApic.id, 0),
    littleEndian(BigInt(ioApic.base), 4),
    littleEndian(0n, 4),
  );
  const edgeToHigh = 0b0101n;
  const overrides = isaInterrupts.map((irq) =>
    joined(Uint8Array.of(2, 10, 0, irq), littleEndian(BigInt(irq), 4), littleEndian(edgeToHigh, 2)),
  );
  return table(
    'APIC',
    5,
    joined(littleEndian(BigInt(localApic), 4), littleEndian(flags, 4), ...processors, controller, ...overrides),
  );
}

function mcfg({ ecam: { base, lastBus } }: AcpiMachine): Uint8Array {
  const [segment, firstBus] = [0n, 0];
  return table(
    'MCFG',
    1,
    joined(
      new Uint8Array(8),
      littleEndian(base, 8),
      littleEndian(segment, 2),
      Uint8Array.of(firstBus, lastBus),
      new Uint8Array(4),
    ),
  );
}
