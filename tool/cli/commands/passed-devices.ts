/** `wcvmm run --kernel K -d A -d B -m A/bar2=wc`: which devices a Linux guest has, and with which attributes. */
import { WcvmmError } from '../../../common/errors.ts';
import type { Scope } from '../../../common/scope.ts';
import { hasIommu } from '../../../vmm/machines/linux-pci.ts';
import type { MapRequest } from '../../../vmm/memory/index.ts';
import { normaliseAddress } from '../../../vmm/sys/pci.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { IommuPath } from '../../../vmm/vfio/device.ts';
import { openGuestDevices } from '../../../vmm/vfio/guest-devices.ts';
import type { GuestDevice, GuestDeviceRequest } from '../../../vmm/vfio/guest-devices.ts';
import { splitMap } from './device-map.ts';

/**
 * Throws E_USAGE for a map of no device, or one that does not say which of several it is for, and for `enforce` with nothing
 * to trap.
 */
export function deviceRequests(
  devices: readonly string[],
  maps: readonly string[],
  enforce = false,
): readonly GuestDeviceRequest[] {
  const requests = devices.map((address) => ({ address, maps: [] as MapRequest[] }));
  for (const text of maps) {
    const { device, map } = splitMap(text);
    const [only, second] = requests;
    const named = requests.find(({ address }) => device !== null && isSame(address, device));
    const found = device === null && second === undefined ? only : named;
    if (found === undefined) throw unplaced(text, device, devices);
    found.maps.push(map);
  }
  if (enforce && !requests.some((request) => request.maps.some(({ attribute }) => attribute === 'device'))) {
    throw new WcvmmError(
      'E_USAGE',
      '--enforce traps windows of the attribute device, and no --map asks for one; expected one, as in --map bar2:0-64K=device. Or leave out --enforce.',
    );
  }
  return requests;
}

function isSame(one: string, other: string): boolean {
  return (normaliseAddress(one) ?? one) === (normaliseAddress(other) ?? other);
}

function unplaced(text: string, device: string | null, devices: readonly string[]): WcvmmError {
  const [first] = devices;
  const example = `--map ${first}/${device === null ? text : text.slice(text.lastIndexOf('/') + 1)}`;
  const expected =
    first === undefined ? '--device with its PCI address too' : `one of ${devices.join(', ')}, as in ${example}`;
  const what = device === null ? 'does not say which device it is for' : `is for ${device}, which is no --device`;
  return new WcvmmError('E_USAGE', `--map ${text} ${what}; expected ${expected}.`);
}

/** Opens them, and says on standard error what a guest will not be able to do with one. Throws as openGuestDevices does. */
export function openPassed(
  port: Port,
  scope: Scope,
  requests: readonly GuestDeviceRequest[],
  iommu: IommuPath | 'auto',
): readonly GuestDevice[] {
  const devices = openGuestDevices(port, scope, requests, iommu);
  for (const { source } of devices) {
    if (hasIommu(source.device)) continue;
    process.stderr.write(
      `wcvmm: ${source.device.pci.address} has no IOMMU, so it may start no DMA: it would reach the host's memory instead of the guest's.\n`,
    );
  }
  return devices;
}
