/** All that differs between architectures when Linux is run; linux-arches.ts has one object for each. */
import type { Scope } from '../../common/scope.ts';
import type { Arch } from '../../memattr/index.ts';
import type { DeviceDescription } from '../bus/device.ts';
import type { InterruptLine } from '../devices/interrupt-line.ts';
import type { UartOptions, WantsInterrupt } from '../devices/uart.ts';
import type { BareEntry } from '../kvm/arch/arch.ts';
import type { Vcpu } from '../kvm/vcpu.ts';
import type { Vm } from '../kvm/vm.ts';
import type { GuestRam } from '../memory/ram.ts';
import type { Port } from '../sys/port.ts';
import type { LinuxMap } from './linux-map.ts';

/** A kernel's file, checked. */
export interface LinuxKernel {
  /**
   * Puts it into RAM with all that it is to find there, and returns where the first vCPU begins.
   *
   * Throws E_GUEST_IMAGE where kernel and initrd do not fit, E_USAGE for a command line that the kernel would cut.
   */
  load(ram: GuestRam, request: LoadRequest): BareEntry;
}

export interface LoadRequest {
  readonly commandLine: string;
  readonly initrd: Uint8Array | null;
  readonly cpus: number;
  readonly pci: LinuxMap['pci'];
}

export interface Controllers {
  /** Of the serial port. */
  readonly serialLine: InterruptLine;
  readonly devices: readonly DeviceDescription[];
  /** Called once all vCPUs are there. */
  finish(): void;
}

export interface LinuxArchitecture {
  readonly name: Arch;
  /** Where nothing else is asked for. */
  readonly map: LinuxMap;
  /** Bits of a guest-physical address. @param kvm the file of /dev/kvm */
  addressBits(port: Port, kvm: number): number;
  /** Linux' name of the serial port. */
  readonly console: string;
  /** Throws E_GUEST_IMAGE. */
  parseKernel(bytes: Uint8Array): LinuxKernel;
  /** Interrupt controllers, before there is a vCPU. Throws E_NO_KVM where KVM lacks one. */
  addControllers(port: Port, scope: Scope, vm: Vm): Controllers;
  /** Puts the first vCPU at the kernel's entry; the others wait until the kernel starts them. */
  initVcpus(port: Port, vm: Vm, vcpus: readonly Vcpu[], start: BareEntry): void;
  /** What this kernel's command line needs so that it works on this machine's KVM. */
  parameters(port: Port, vm: Vm, vcpus: readonly Vcpu[]): readonly string[];
  serialPort(options: UartOptions): { readonly device: DeviceDescription; readonly wants: WantsInterrupt };
}
