/**
 * VFIO's ABI for interrupts (include/uapi/linux/vfio.h): which a device has, and which eventfd each one signals. Numbers,
 * layouts and the raw calls; no policy.
 */
import type { Port } from './port.ts';

export const VFIO_DEVICE_GET_INFO = 0x3b6b;
export const VFIO_DEVICE_GET_IRQ_INFO = 0x3b6d;
export const VFIO_DEVICE_SET_IRQS = 0x3b6e;

export const DEVICE_FLAG = { reset: 1, pci: 2 } as const;

/** A PCI device's interrupts, by the index that VFIO gives them. */
export const VFIO_PCI_IRQ = { intx: 0, msi: 1, msix: 2, error: 3, request: 4 } as const;

export const IRQ_FLAG = { eventfd: 1, maskable: 2, automasked: 4, noResize: 8 } as const;

/** What a request carries, and what it is to do: bits of struct vfio_irq_set's flags. */
export const IRQ_SET = { dataNone: 1, dataEventfd: 4, actionTrigger: 32 } as const;

const SET_HEADER = 20;

export interface DeviceInfo {
  /** VFIO can reset it. */
  readonly canReset: boolean;
  readonly regions: number;
  readonly irqs: number;
}

export function getDeviceInfo(port: Port, device: number): DeviceInfo {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.byteLength, true);
  port.ioctl(device, VFIO_DEVICE_GET_INFO, bytes);
  return {
    canReset: (view.getUint32(4, true) & DEVICE_FLAG.reset) !== 0,
    regions: view.getUint32(8, true),
    irqs: view.getUint32(12, true),
  };
}

export interface IrqInfo {
  /** How many of its kind; 0: none. */
  readonly count: number;
  /** While some are in use, no further ones can be added: all have to be given up first. */
  readonly noResize: boolean;
  readonly eventfd: boolean;
}

export function getIrqInfo(port: Port, device: number, index: number): IrqInfo {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.byteLength, true);
  view.setUint32(8, index, true);
  port.ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, bytes);
  const flags = view.getUint32(4, true);
  return {
    count: view.getUint32(12, true),
    noResize: (flags & IRQ_FLAG.noResize) !== 0,
    eventfd: (flags & IRQ_FLAG.eventfd) !== 0,
  };
}

function setIrqs(
  port: Port,
  device: number,
  { index, start, flags, data }: { index: number; start: number; flags: number; data: readonly number[] },
): number {
  const bytes = new Uint8Array(SET_HEADER + data.length * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.byteLength, true);
  view.setUint32(4, flags | IRQ_SET.actionTrigger, true);
  view.setUint32(8, index, true);
  view.setUint32(12, start, true);
  view.setUint32(16, data.length, true);
  for (const [at, eventfd] of data.entries()) view.setInt32(SET_HEADER + at * 4, eventfd, true);
  return port.ioctl(device, VFIO_DEVICE_SET_IRQS, bytes);
}

/** No eventfd, for the vector that it stands for. */
export const NO_EVENTFD = -1;

/**
 * From vector `start` on, one eventfd a vector. The first call for an index also switches that kind of interrupt on.
 * Returns 0; or, where the host has fewer vectors and nothing was done, how many it has.
 */
export function setIrqEventfds(
  port: Port,
  device: number,
  index: number,
  start: number,
  eventfds: readonly number[],
): number {
  return setIrqs(port, device, { index, start, flags: IRQ_SET.dataEventfd, data: eventfds });
}

/** Switches a kind of interrupt off; no eventfd is signalled afterwards. */
export function disableIrqs(port: Port, device: number, index: number): void {
  setIrqs(port, device, { index, start: 0, flags: IRQ_SET.dataNone, data: [] });
}
