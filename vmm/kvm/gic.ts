/** arm64's interrupt controller, which KVM has: a GICv3, and the ITS that takes devices' MSIs. */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { KVM_DEVICE_TYPE, KVM_GIC, createKvmDevice, setDeviceAttribute } from '../sys/kvm-irq.ts';
import { isErrno } from '../sys/port.ts';
import type { Port } from '../sys/port.ts';

export interface GicPlaces {
  /** Guest-physical. */
  readonly distributor: bigint;
  readonly redistributors: bigint;
  readonly its: bigint;
}

/** Bytes. */
export const GIC_SIZE = { distributor: 0x1_0000n, redistributor: 0x2_0000n, its: 0x2_0000n } as const;

/** Interrupts of the GIC, with the 32 that each CPU has of its own. */
const INTERRUPTS = 96;

/**
 * Before the vCPUs run; what it returns is called once all of them are there.
 *
 * Throws E_NO_KVM where this machine's KVM has no GICv3 for guests.
 */
export function addGic(port: Port, scope: Scope, vm: number, places: GicPlaces): () => void {
  const gic = createDevice(port, scope, vm, KVM_DEVICE_TYPE.gicV3, 'GICv3');
  const its = createDevice(port, scope, vm, KVM_DEVICE_TYPE.gicIts, 'GIC ITS');
  const { addressGroup, irqCountGroup, controlGroup, address, init } = KVM_GIC;
  setDeviceAttribute(port, gic, addressGroup, address.distributor, words64(places.distributor));
  setDeviceAttribute(port, gic, addressGroup, address.redistributors, words64(places.redistributors));
  setDeviceAttribute(port, its, addressGroup, address.its, words64(places.its));
  const count = new Uint8Array(4);
  new DataView(count.buffer).setUint32(0, INTERRUPTS, true);
  setDeviceAttribute(port, gic, irqCountGroup, 0, count);
  return () => {
    for (const device of [gic, its]) setDeviceAttribute(port, device, controlGroup, init, null);
  };
}

function createDevice(port: Port, scope: Scope, vm: number, type: number, name: string): number {
  try {
    const device = createKvmDevice(port, vm, type);
    scope.defer(() => port.close(device));
    return device;
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
    throw new WcvmmError(
      'E_NO_KVM',
      `this machine's KVM gives guests no ${name} (ENODEV), and Linux guests need one; expected a host with a GICv3 or newer.`,
      { cause: error },
    );
  }
}

function words64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}
