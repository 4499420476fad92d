/** What an arm64 Linux guest is told of its machine (the kernel's Documentation/devicetree/bindings has each node's). */
import { randomBytes } from 'node:crypto';
import { cells, empty, strings } from '../boot/fdt.ts';
import type { FdtCell, FdtNode } from '../boot/fdt.ts';
import { GIC_SIZE } from '../kvm/gic.ts';
import type { RamRange } from '../memory/ram.ts';
import { ARM64_MAP } from './linux-map.ts';
import type { LinuxMap } from './linux-map.ts';

export interface DevicetreeParts {
  readonly commandLine: string;
  readonly cpus: number;
  readonly ram: readonly RamRange[];
  readonly initrd: RamRange | null;
  /** The serial port's interrupt, of the shared peripheral ones. */
  readonly serialSpi: number;
  readonly pci: LinuxMap['pci'];
}

/** Cells of the GIC's interrupts: kind, number, trigger. */
const SPI = 0;
const PPI = 1;
const LEVEL_HIGH = 4;

/** Of KVM's timer: secure, non-secure, virtual and hypervisor. */
const TIMER_PPIS = [13, 14, 11, 10] as const;

/** Spaces of PCI addresses (IEEE 1275 PCI binding). */
const PCI_MEMORY_32 = 0x0200_0000;
const PCI_MEMORY_64_PREFETCHABLE = 0x4300_0000;

/** Never raised: the clock has no alarm. */
const RTC_SPI = 2;

const MOST_DEVICES = 0x1_0000;
const SEED_WORDS = 8;

export function devicetree({ commandLine, cpus, ram, initrd, serialSpi, pci }: DevicetreeParts): FdtNode {
  const uart = unit('pl011', ARM64_MAP.uart);
  return {
    name: '',
    properties: {
      compatible: strings('linux,dummy-virt'),
      '#address-cells': cells(2),
      '#size-cells': cells(2),
      'interrupt-parent': cells({ phandleOf: 'gic' }),
    },
    children: [
      {
        name: 'chosen',
        properties: {
          bootargs: strings(commandLine),
          'stdout-path': strings(`/${uart}`),
          'rng-seed': cells(...randomCells()),
          ...(initrd && {
            'linux,initrd-start': cells(initrd.gpa),
            'linux,initrd-end': cells(initrd.gpa + initrd.length),
          }),
        },
      },
      ...ram.map(({ gpa, length }) => ({
        name: unit('memory', gpa),
        properties: { device_type: strings('memory'), reg: cells(gpa, length) },
      })),
      processors(cpus),
      { name: 'psci', properties: { compatible: strings('arm,psci-1.0', 'arm,psci-0.2'), method: strings('hvc') } },
      {
        name: 'timer',
        properties: {
          compatible: strings('arm,armv8-timer'),
          interrupts: cells(...TIMER_PPIS.flatMap((ppi) => [PPI, ppi, LEVEL_HIGH])),
          'always-on': empty,
        },
      },
      interruptController(cpus),
      {
        name: 'apb-pclk',
        label: 'clock',
        properties: {
          compatible: strings('fixed-clock'),
          '#clock-cells': cells(0),
          'clock-frequency': cells(24_000_000),
        },
      },
      {
        name: uart,
        properties: {
          compatible: strings('arm,pl011', 'arm,primecell'),
          reg: cells(ARM64_MAP.uart, 0x1000n),
          interrupts: cells(SPI, serialSpi, LEVEL_HIGH),
          clocks: cells({ phandleOf: 'clock' }, { phandleOf: 'clock' }),
          'clock-names': strings('uartclk', 'apb_pclk'),
        },
      },
      {
        name: unit('pl031', ARM64_MAP.rtc),
        properties: {
          compatible: strings('arm,pl031', 'arm,primecell'),
          reg: cells(ARM64_MAP.rtc, 0x1000n),
          interrupts: cells(SPI, RTC_SPI, LEVEL_HIGH),
          clocks: cells({ phandleOf: 'clock' }),
          'clock-names': strings('apb_pclk'),
        },
      },
      hostBridge(pci),
    ],
  };
}

function processors(count: number): FdtNode {
  return {
    name: 'cpus',
    properties: { '#address-cells': cells(1), '#size-cells': cells(0) },
    children: Array.from({ length: count }, (_, id) => ({
      name: `cpu@${id.toString(16)}`,
      properties: {
        device_type: strings('cpu'),
        compatible: strings('arm,armv8'),
        'enable-method': strings('psci'),
        // KVM's MPIDR_EL1 of vCPUs 0 to 15.
        reg: cells(id),
      },
    })),
  };
}

function interruptController(cpus: number): FdtNode {
  const { gicDistributor, gicRedistributors, gicIts } = ARM64_MAP;
  return {
    name: unit('interrupt-controller', gicDistributor),
    label: 'gic',
    properties: {
      compatible: strings('arm,gic-v3'),
      '#interrupt-cells': cells(3),
      'interrupt-controller': empty,
      '#address-cells': cells(2),
      '#size-cells': cells(2),
      ranges: empty,
      reg: cells(gicDistributor, GIC_SIZE.distributor, gicRedistributors, GIC_SIZE.redistributor * BigInt(cpus)),
    },
    children: [
      {
        name: unit('msi-controller', gicIts),
        label: 'its',
        properties: {
          compatible: strings('arm,gic-v3-its'),
          'msi-controller': empty,
          '#msi-cells': cells(1),
          reg: cells(gicIts, GIC_SIZE.its),
        },
      },
    ],
  };
}

function hostBridge({ ecam, buses, memory32, memory64 }: LinuxMap['pci']): FdtNode {
  return {
    name: unit('pcie', ecam.gpa),
    properties: {
      compatible: strings('pci-host-ecam-generic'),
      device_type: strings('pci'),
      '#address-cells': cells(3),
      '#size-cells': cells(2),
      'bus-range': cells(0, buses - 1),
      reg: cells(ecam.gpa, ecam.length),
      ranges: cells(...window(PCI_MEMORY_32, memory32), ...window(PCI_MEMORY_64_PREFETCHABLE, memory64)),
      // A requester's number is the ITS's number of the device.
      'msi-map': cells(0, { phandleOf: 'its' }, 0, MOST_DEVICES),
      'dma-coherent': empty,
    },
  };
}

/** PCI addresses are guest-physical ones. */
function window(space: number, { gpa, length }: RamRange): readonly FdtCell[] {
  return [space, gpa, gpa, length];
}

/** For the guest's random numbers, which would come late otherwise. */
function randomCells(): readonly FdtCell[] {
  const bytes = randomBytes(SEED_WORDS * 4);
  return Array.from({ length: SEED_WORDS }, (_, index) => bytes.readUInt32BE(index * 4));
}

function unit(name: string, gpa: bigint): string {
  return `${name}@${gpa.toString(16)}`;
}
