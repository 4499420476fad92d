/** x86 machines for Linux: KVM's local APICs, an IOAPIC of the VMM's, a 16550, and hardware-reduced ACPI that says so. */
import type { AddressRange } from '../boot/acpi-resources.ts';
import { acpiTables } from '../boot/acpi-tables.ts';
import {
  BOOT_MAP,
  BOOT_SELECTOR,
  E820,
  bootParams,
  commandLineBytes,
  gdt,
  identityPageTables,
} from '../boot/boot-params.ts';
import type { E820Entry } from '../boot/boot-params.ts';
import { ENTRY_64, parseBzImage, placeBzImage } from '../boot/bzimage.ts';
import type { BzImage } from '../boot/bzimage.ts';
import { SLEEP_TYPE_OFF, dsdtTerms } from '../boot/dsdt.ts';
import { ioapicAt, newIoapic } from '../devices/ioapic.ts';
import { legacyPorts } from '../devices/legacy-x86.ts';
import { POWER_PORTS, RESET_VALUE, powerPorts } from '../devices/power-x86.ts';
import { rtcPorts } from '../devices/rtc-x86.ts';
import { uart16550At, wants16550 } from '../devices/uart-16550.ts';
import type { BareEntry } from '../kvm/arch/arch.ts';
import { physicalBits } from '../kvm/cpuid-x86.ts';
import { initLinuxVcpu, tscKilohertz } from '../kvm/vcpu-x86.ts';
import type { GuestRam, RamRange } from '../memory/ram.ts';
import { enableCap } from '../sys/kvm.ts';
import { x86SupportedCpuid } from '../sys/kvm-x86.ts';
import { KVM_IRQ_CAP, setIdentityMapAddress, setTssAddress } from '../sys/kvm-irq.ts';
import type { LinuxArchitecture, LoadRequest } from './linux-arch.ts';
import { LINUX_MAP, X86_MAP } from './linux-map.ts';
import type { LinuxMap } from './linux-map.ts';

const SERIAL = { port: 0x3f8, interrupt: 4 } as const;

export const linuxX86: LinuxArchitecture = {
  name: 'x86',
  map: LINUX_MAP.x86,
  addressBits: (port, kvm) => physicalBits(x86SupportedCpuid(port, kvm)),
  console: 'ttyS0',
  parseKernel(bytes) {
    const image = parseBzImage(bytes);
    return { load: (ram, request) => load(image, ram, request) };
  },
  addControllers(port, _scope, { vm }) {
    setIdentityMapAddress(port, vm, X86_MAP.identityMap);
    setTssAddress(port, vm, X86_MAP.tss);
    // KVM's own IOAPIC is an option of its kernel's; local APICs are always there. None of the GSIs is kept for pins.
    enableCap(port, vm, KVM_IRQ_CAP.splitIrqchip, 0);
    const ioapic = newIoapic();
    return {
      serialLine: { kind: 'ioapic', vm, pin: SERIAL.interrupt, ioapic },
      devices: [ioapicAt(X86_MAP.ioApic, ioapic, vm), powerPorts(SLEEP_TYPE_OFF), rtcPorts(), ...legacyPorts()],
      finish: () => {},
    };
  },
  initVcpus(port, vm, vcpus, { entry, argument }) {
    const start = {
      cr3: BOOT_MAP.pageTables,
      gdt: BOOT_MAP.gdt,
      gdtBytes: gdt().length,
      ...BOOT_SELECTOR,
      rip: entry,
      rsi: argument,
    };
    for (const [id, { fd }] of vcpus.entries()) {
      initLinuxVcpu(port, vm, fd, { id, count: vcpus.length }, id === 0 ? start : null);
    }
  },
  parameters(port, { vm }, [first]) {
    // A kernel without KVM's clock would look for a timer that it can calibrate its TSC with, and there is none.
    const kilohertz = first === undefined ? null : tscKilohertz(port, vm, first.fd);
    return kilohertz === null ? [] : [`tsc_early_khz=${kilohertz}`];
  },
  serialPort: (options) => ({ device: uart16550At(SERIAL.port, options), wants: wants16550 }),
};

function load(image: BzImage, ram: GuestRam, { commandLine, initrd, cpus, pci }: LoadRequest): BareEntry {
  const low = ram.regions.find(({ gpa }) => gpa === 0n);
  if (low === undefined) throw new RangeError('a PC without RAM at 0');
  const places = placeBzImage(low, image, initrd?.length ?? null);
  const tables = acpiTables(acpiMachine(cpus, pci), X86_MAP.acpiTables);
  ram.write(BOOT_MAP.gdt, gdt());
  ram.write(BOOT_MAP.pageTables, identityPageTables());
  ram.write(BOOT_MAP.commandLine, commandLineBytes(commandLine, image.commandLineMost));
  ram.write(BOOT_MAP.bootParams, bootParams({ image, places, e820: e820Of(ram.regions), rsdp: X86_MAP.acpiTables }));
  ram.write(X86_MAP.acpiTables, tables);
  ram.write(places.kernel, image.code);
  if (initrd !== null && places.initrd !== null) ram.write(places.initrd.gpa, initrd);
  return { entry: places.kernel + ENTRY_64, argument: BOOT_MAP.bootParams };
}

function addresses({ gpa, length }: RamRange): AddressRange {
  return { from: gpa, length };
}

function acpiMachine(
  cpus: number,
  { ecam, buses, memory32, memory64 }: LinuxMap['pci'],
): Parameters<typeof acpiTables>[0] {
  return {
    dsdt: dsdtTerms({
      pci: { ecam: addresses(ecam), buses, memory32: addresses(memory32), memory64: addresses(memory64) },
      serial: SERIAL,
    }),
    cpus,
    localApic: X86_MAP.localApic,
    ioApic: { base: X86_MAP.ioApic, id: 0 },
    isaInterrupts: [SERIAL.interrupt],
    ecam: { base: ecam.gpa, lastBus: buses - 1 },
    sleepControl: POWER_PORTS.sleepControl,
    sleepStatus: POWER_PORTS.sleepStatus,
    reset: { port: POWER_PORTS.reset, value: RESET_VALUE },
  };
}

/** RAM, but for what ACPI's tables are in; and the ECAM, which Linux asks for here too. */
function e820Of(ranges: readonly RamRange[]): readonly E820Entry[] {
  const { acpi, highMemory } = BOOT_MAP;
  const { ecam } = LINUX_MAP.x86.pci;
  const ram = ranges.flatMap(({ gpa, length }): E820Entry[] =>
    gpa === 0n
      ? [
          { gpa, length: acpi, type: E820.ram },
          { gpa: acpi, length: highMemory - acpi, type: E820.acpi },
          { gpa: highMemory, length: length - highMemory, type: E820.ram },
        ]
      : [{ gpa, length, type: E820.ram }],
  );
  const kept: E820Entry = { ...ecam, type: E820.reserved };
  return [...ram, kept].toSorted((a, b) => (a.gpa < b.gpa ? -1 : 1));
}
