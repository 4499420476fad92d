import type { Scope } from '../../common/scope.ts';
import { KVM_DEV_VFIO_FILE, KVM_DEVICE_TYPE, createKvmDevice, setDeviceAttribute } from '../sys/kvm-irq.ts';
import type { Port } from '../sys/port.ts';
import type { VfioDevice } from './device.ts';

/**
 * Tells KVM which devices a VM has (Documentation/virt/kvm/devices/vfio.rst): it then knows whether one of them does DMA that
 * caches do not see, and on Intel lets the guest's PAT decide for RAM too. It forgets them when `scope` closes.
 */
export function tellKvm(port: Port, scope: Scope, vm: number, devices: readonly VfioDevice[]): void {
  if (devices.length === 0) return;
  const vfio = createKvmDevice(port, vm, KVM_DEVICE_TYPE.vfio);
  scope.defer(() => port.close(vfio));
  for (const { kvmFile } of devices) {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setInt32(0, kvmFile, true);
    setDeviceAttribute(port, vfio, KVM_DEV_VFIO_FILE.group, KVM_DEV_VFIO_FILE.add, value);
  }
}
