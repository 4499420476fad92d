/**
 * KVM's ABI for interrupts (include/uapi/linux/kvm.h): controllers in the kernel, devices with attributes, GSI routes,
 * irqfds and MSIs. Numbers, layouts and the raw calls; no policy.
 */
import { withAddress } from './pointer.ts';
import type { Port } from './port.ts';

export const KVM_CREATE_IRQCHIP = 0xae60;
export const KVM_IRQ_LINE = 0x4008ae61;
export const KVM_SET_GSI_ROUTING = 0x4008ae6a;
export const KVM_IRQFD = 0x4020ae76;
export const KVM_SIGNAL_MSI = 0x4020aea5;
export const KVM_SET_MP_STATE = 0x4004ae99;
export const KVM_SET_TSS_ADDR = 0xae47;
export const KVM_SET_IDENTITY_MAP_ADDR = 0x4008ae48;

export const KVM_IRQ_CAP = {
  irqchip: 0,
  mpState: 14,
  irqRouting: 25,
  irqfd: 32,
  signalMsi: 77,
  irqfdResample: 82,
  splitIrqchip: 121,
  x2apicApi: 129,
  msiDeviceId: 131,
} as const;

/** struct kvm_irqfd's flags, and KVM_MSI_VALID_DEVID of struct kvm_msi and of a route. */
export const KVM_IRQFD_FLAG = { deassign: 1, resample: 2 } as const;
export const KVM_MSI_VALID_DEVID = 1;

export const KVM_ROUTE_TYPE = { irqchip: 1, msi: 2 } as const;

/** x86's controllers, as a route to a pin names them; on arm64 the GIC is 0. */
export const KVM_IRQCHIP = { picMaster: 0, picSlave: 1, ioapic: 2 } as const;

export const KVM_MP_STATE = { runnable: 0, uninitialized: 1, halted: 3, stopped: 5 } as const;

/** x86: KVM's PIC, IOAPIC and local APICs; before there is a vCPU. */
export function createIrqchip(port: Port, vm: number): void {
  port.ioctl(vm, KVM_CREATE_IRQCHIP, 0);
}

/** x86 on Intel: three pages that real mode uses, below 4 GiB and nobody else's. */
export function setTssAddress(port: Port, vm: number, gpa: number): void {
  port.ioctl(vm, KVM_SET_TSS_ADDR, gpa);
}

/** x86 on Intel: one page, as for setTssAddress. */
export function setIdentityMapAddress(port: Port, vm: number, gpa: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, gpa, true);
  port.ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, bytes);
}

/** @param irq x86: a GSI; arm64: type << 24 | vcpu << 16 | number (api.rst, KVM_IRQ_LINE) */
export function setIrqLine(port: Port, vm: number, irq: number, isHigh: boolean): void {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, irq, true);
  view.setUint32(4, isHigh ? 1 : 0, true);
  port.ioctl(vm, KVM_IRQ_LINE, bytes);
}

export interface Irqfd {
  readonly eventfd: number;
  readonly gsi: number;
  /** An eventfd that KVM signals when the guest has served a level interrupt. */
  readonly resample?: number;
}

function irqfd(port: Port, vm: number, { eventfd, gsi, resample }: Irqfd, flags: number): void {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, eventfd, true);
  view.setUint32(4, gsi, true);
  view.setUint32(8, flags | (resample === undefined ? 0 : KVM_IRQFD_FLAG.resample), true);
  view.setUint32(12, resample ?? 0, true);
  port.ioctl(vm, KVM_IRQFD, bytes);
}

/** From now on a signal of the eventfd is the GSI's interrupt. One that it holds already is delivered too, and stays in it. */
export function assignIrqfd(port: Port, vm: number, request: Irqfd): void {
  irqfd(port, vm, request, 0);
}

/** When it returns, no signal is on its way any more: the next ones stay in the eventfd. */
export function deassignIrqfd(port: Port, vm: number, { eventfd, gsi }: Irqfd): void {
  irqfd(port, vm, { eventfd, gsi }, KVM_IRQFD_FLAG.deassign);
}

export interface Msi {
  readonly address: bigint;
  readonly data: number;
  /** Who sends it: the requester's id that an ITS looks up; null where there is no ITS. */
  readonly deviceId: number | null;
}

export type GsiRoute = { readonly gsi: number } & (
  { readonly kind: 'irqchip'; readonly irqchip: number; readonly pin: number } | ({ readonly kind: 'msi' } & Msi)
);

/** struct kvm_irq_routing, and struct kvm_irq_routing_entry. */
const ROUTING_HEADER = 8;
const ROUTE = 48;

/** All routes of the VM: those that are not among them are gone. */
export function setGsiRouting(port: Port, vm: number, routes: readonly GsiRoute[]): void {
  const bytes = new Uint8Array(ROUTING_HEADER + routes.length * ROUTE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, routes.length, true);
  for (const [index, route] of routes.entries()) {
    const at = ROUTING_HEADER + index * ROUTE;
    view.setUint32(at, route.gsi, true);
    view.setUint32(at + 4, KVM_ROUTE_TYPE[route.kind], true);
    if (route.kind === 'irqchip') {
      view.setUint32(at + 16, route.irqchip, true);
      view.setUint32(at + 20, route.pin, true);
    } else {
      view.setUint32(at + 8, route.deviceId === null ? 0 : KVM_MSI_VALID_DEVID, true);
      view.setBigUint64(at + 16, route.address, true);
      view.setUint32(at + 24, route.data, true);
      view.setUint32(at + 28, route.deviceId ?? 0, true);
    }
  }
  port.ioctl(vm, KVM_SET_GSI_ROUTING, bytes);
}

export function signalMsi(port: Port, vm: number, { address, data, deviceId }: Msi): void {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, address, true);
  view.setUint32(8, data, true);
  view.setUint32(12, deviceId === null ? 0 : KVM_MSI_VALID_DEVID, true);
  view.setUint32(16, deviceId ?? 0, true);
  port.ioctl(vm, KVM_SIGNAL_MSI, bytes);
}

export function setMpState(port: Port, vcpu: number, state: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, state, true);
  port.ioctl(vcpu, KVM_SET_MP_STATE, bytes);
}

export const KVM_CREATE_DEVICE = 0xc00caee0;
export const KVM_SET_DEVICE_ATTR = 0x4018aee1;
export const KVM_HAS_DEVICE_ATTR = 0x4018aee3;

export const KVM_DEVICE_TYPE = { vfio: 4, gicV3: 7, gicIts: 8 } as const;

/** KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_GROUP by its older name: the attributes' values are pointers to a file descriptor. */
export const KVM_DEV_VFIO_FILE = { group: 1, add: 1, del: 2 } as const;

/** The GICv3's and its ITS's attributes: groups, and what is in them (arch/arm64/include/uapi/asm/kvm.h). */
export const KVM_GIC = {
  addressGroup: 0,
  irqCountGroup: 3,
  controlGroup: 4,
  address: { distributor: 2, redistributors: 3, its: 4, redistributorRegion: 5 },
  init: 0,
} as const;

/** Returns the device's file descriptor. */
export function createKvmDevice(port: Port, vm: number, type: number): number {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  port.ioctl(vm, KVM_CREATE_DEVICE, bytes);
  return view.getUint32(4, true);
}

function deviceAttribute(group: number, attribute: bigint, address: bigint): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, group, true);
  view.setBigUint64(8, attribute, true);
  view.setBigUint64(16, address, true);
  return bytes;
}

/** @param value what the attribute's pointer points to; null for one that has no value */
export function setDeviceAttribute(
  port: Port,
  device: number,
  group: number,
  attribute: number | bigint,
  value: Uint8Array | null,
): void {
  const set = (address: bigint): void =>
    void port.ioctl(device, KVM_SET_DEVICE_ATTR, deviceAttribute(group, BigInt(attribute), address));
  if (value === null) set(0n);
  else withAddress(port, value, set);
}

/** Throws SysError ENXIO where the device has no such attribute. */
export function requireDeviceAttribute(port: Port, device: number, group: number, attribute: number | bigint): void {
  port.ioctl(device, KVM_HAS_DEVICE_ATTR, deviceAttribute(group, BigInt(attribute), 0n));
}
