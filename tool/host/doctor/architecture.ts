import type { Port } from '../../../vmm/sys/port.ts';
import type { Finding } from './finding.ts';

/** What doctor looks at differently on each architecture. */
export interface DoctorArchitecture {
  /** Whose CPU it is; null where the kernel does not say. */
  vendor(port: Port): string | null;
  /** What KVM translates guest addresses with: unless the hardware does it, a guest shows nothing about memory types. */
  kvmKind(port: Port): Finding;
  /** Which memory types do harm on this machine. */
  silicon(port: Port): readonly Finding[];
  /** What takes a Linux guest's interrupts. */
  irqchip(port: Port): Finding;
  /** Can it be read what KVM programmed? Without that, verdicts rest on what the guest saw alone. */
  readBack(port: Port): readonly Finding[];
}
