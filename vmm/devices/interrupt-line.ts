/** A device's interrupt, as plain data that every thread can pull: a pin of KVM's GIC, or of the IOAPIC in this VMM. */
import { setIrqLine } from '../sys/kvm-irq.ts';
import type { Port } from '../sys/port.ts';
import { setPin } from './ioapic.ts';

export type InterruptLine =
  /** arm64: a shared peripheral interrupt, numbered from 0. */
  | { readonly kind: 'gic'; readonly vm: number; readonly spi: number }
  | { readonly kind: 'ioapic'; readonly vm: number; readonly pin: number; readonly ioapic: SharedArrayBuffer };

/** KVM_IRQ_LINE on arm64: the type of shared peripheral interrupts, and the GIC's number of the first (api.rst). */
const SPI_TYPE = 1 << 24;
const FIRST_SPI = 32;

export function setLine(port: Port, line: InterruptLine, isHigh: boolean): void {
  switch (line.kind) {
    case 'gic':
      return setIrqLine(port, line.vm, SPI_TYPE | (FIRST_SPI + line.spi), isHigh);
    case 'ioapic':
      return setPin(port, line.vm, line.ioapic, line.pin, isHigh);
  }
}
