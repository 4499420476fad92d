/** One device, opened: its BARs mapped, its memslots' numbers taken, and what the vCPUs' threads need to know of it. */
import { WcvmmError } from '../../../common/errors.ts';
import type { Scope } from '../../../common/scope.ts';
import type { Region } from '../../memory/windows.ts';
import { attempt } from '../../sys/attempt.ts';
import type { Port } from '../../sys/port.ts';
import { exportDmaBuf, getRegionInfo } from '../../sys/vfio.ts';
import { VFIO_PCI_IRQ, getDeviceInfo, getIrqInfo } from '../../sys/vfio-irq.ts';
import { readConfigSpace } from '../../vfio/config.ts';
import type { DmaSpace } from '../../vfio/dma.ts';
import { mapBarWindows, slotParts, wholeBarWindows } from '../../vfio/guest-bars.ts';
import type { Part } from '../../vfio/guest-bars.ts';
import { guestConfig } from './guest-config.ts';
import type { GuestBar, GuestInterrupts } from './guest-config.ts';
import { pendingBytes } from './msix-table.ts';
import type { PassedDevice, PciHostRequest } from './request.ts';
import { NOWHERE } from './options.ts';
import type { BarOptions, FunctionOptions, InterruptOptions } from './options.ts';
import { COMMAND, EXPRESS_CONFIG_SPACE, MSIX, REG } from './registers.ts';
import { newVectorState } from './vectors.ts';

export interface PreparedFunction {
  readonly name: string;
  readonly bars: readonly GuestBar[];
  readonly options: FunctionOptions;
}

interface FunctionRequest {
  readonly device: PassedDevice;
  readonly devfn: number;
  readonly gsi: number;
  readonly pageSize: bigint;
  /** See FunctionOptions. */
  readonly peers: readonly DmaSpace[];
}

/** Throws E_PASSTHROUGH, and as planWindows and mapWindow do. */
export function openFunction(
  port: Port,
  scope: Scope,
  { slots, hasIts, enforce = false }: Pick<PciHostRequest, 'slots' | 'hasIts' | 'enforce'>,
  { device: { source, maps, mayTransfer }, devfn, gsi, pageSize, peers }: FunctionRequest,
): PreparedFunction {
  const { device, regions } = source;
  const name = device.pci.address;
  const space = readConfigSpace(port, device);
  const memoryOf = (bar: number): Region | undefined =>
    regions.find((region) => region.bar === bar && region.kind === 'memory');
  const config = guestConfig(name, space.bytes, (bar) => Number(memoryOf(bar)?.size ?? 0n));
  const interrupts = config.interrupts;
  const irqs = interrupts === null ? null : getIrqInfo(port, device.fd, VFIO_PCI_IRQ[interrupts.kind]);
  if (interrupts !== null && irqs !== null) requireInterrupts(name, interrupts, irqs.count, config.bars);
  const windows = wholeBarWindows(maps, regions, pageSize);
  const bars = config.bars.map(({ bar, is64Bit, size }): BarOptions => {
    const region = memoryOf(bar);
    if (region === undefined) throw new RangeError(`BAR ${bar} is no region`);
    const ofBar = windows.filter((window) => window.bar === bar);
    const { hva } = mapBarWindows(port, scope, source, region, ofBar, pageSize);
    const emulated = emulatedParts(interrupts, bar);
    const parts = ofBar
      .filter(({ attribute }) => !(enforce && attribute === 'device'))
      .flatMap((window) => slotParts(window, emulated, pageSize));
    return {
      bar,
      is64Bit,
      size,
      hva,
      mapped: ofBar.map(({ offset, length }) => ({ offset: Number(offset), length: Number(length) })),
      slots: parts.map(({ offset, length }) => ({
        slot: slots.reserve(),
        offset: Number(offset),
        length: Number(length),
      })),
      fileOffset: getRegionInfo(port, device.fd, bar).offset,
      dmaBuf: peers.some(({ kind }) => kind === 'ioas') ? dmaBufOf(port, scope, device.fd, region) : null,
    };
  });
  const command = new DataView(space.bytes.buffer).getUint16(REG.command, true) & ~COMMAND.master;
  const { reset, writable, live, power, functionReset } = config;
  const canReset = getDeviceInfo(port, device.fd).canReset;
  return {
    name,
    bars: config.bars,
    options: {
      devfn,
      reset,
      writable,
      config: new SharedArrayBuffer(EXPRESS_CONFIG_SPACE),
      bars,
      placed: nowhere(bars.length),
      slots: nowhere(bars.reduce((sum, bar) => sum + bar.slots.length, 0)),
      peers,
      peerMaps: new SharedArrayBuffer(bars.length * peers.length * 4),
      exits: new SharedArrayBuffer(4),
      power,
      functionReset: canReset ? functionReset : null,
      interrupts:
        interrupts === null
          ? null
          : interruptOptions(interrupts, { gsi, deviceId: hasIts ? devfn : null, noResize: irqs?.noResize ?? true }),
      device: { fd: device.fd, configOffset: space.offset, live, canReset, mayTransfer, command },
    },
  };
}

/** Null where the kernel exports none: it needs CONFIG_VFIO_PCI_DMABUF, and a BAR of whole pages. */
function dmaBufOf(port: Port, scope: Scope, device: number, { bar, size }: Region): number | null {
  const file = attempt(() => exportDmaBuf(port, device, bar, size));
  if (file !== null) scope.defer(() => port.close(file));
  return file;
}

function nowhere(count: number): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(count * 8);
  new Float64Array(shared).fill(NOWHERE);
  return shared;
}

/** What of the BAR is not the device's own to the guest. */
function emulatedParts(interrupts: GuestInterrupts | null, bar: number): readonly Part[] {
  if (interrupts?.kind !== 'msix') return [];
  const { vectors, table, pending } = interrupts;
  return [
    { ...table, length: vectors * MSIX.entry },
    { ...pending, length: pendingBytes(vectors) },
  ]
    .filter((one) => one.bar === bar)
    .map(({ offset, length }) => ({ offset: BigInt(offset), length: BigInt(length) }));
}

/** The capability is the device's own word, and what it says of VFIO and of BARs must be so. */
function requireInterrupts(name: string, interrupts: GuestInterrupts, count: number, bars: readonly GuestBar[]): void {
  const { kind, vectors } = interrupts;
  if (count < vectors) {
    throw refused(
      name,
      `VFIO gives it ${count} ${kind === 'msix' ? 'MSI-X' : 'MSI'} vectors, and it says that it has ${vectors}`,
    );
  }
  if (interrupts.kind !== 'msix') return;
  const isIn = ({ bar, offset }: { bar: number; offset: number }, length: number): boolean =>
    bars.some((one) => one.bar === bar && offset + length <= one.size);
  if (isIn(interrupts.table, vectors * MSIX.entry) && isIn(interrupts.pending, pendingBytes(vectors))) return;
  throw refused(name, 'its MSI-X table or its pending bits are not in its memory BARs');
}

function refused(name: string, why: string): WcvmmError {
  return new WcvmmError('E_PASSTHROUGH', `${name} cannot be passed to a Linux guest: ${why}.`);
}

function interruptOptions(
  interrupts: GuestInterrupts,
  rest: Pick<InterruptOptions, 'gsi' | 'deviceId' | 'noResize'>,
): InterruptOptions {
  const { kind, at, vectors } = interrupts;
  const table =
    interrupts.kind === 'msi'
      ? null
      : {
          entries: new SharedArrayBuffer(vectors * MSIX.entry),
          bar: interrupts.table.bar,
          offset: interrupts.table.offset,
          pendingBar: interrupts.pending.bar,
          pendingOffset: interrupts.pending.offset,
        };
  return { kind, at, vectors, ...rest, state: newVectorState(vectors), table };
}
