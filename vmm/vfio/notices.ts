/**
 * What the kernel tells whoever has a device open: that it is wanted back (unbound, removed, or its bridge's owner asks), which waits until every file
 * of it is closed, and that it has reported an error that cannot be corrected (AER). Each is an eventfd; they are looked at between two slices of a
 * guest, or by the main thread while others run its vCPUs.
 */
import { WcvmmError } from '../../common/errors.ts';
import type { Scope } from '../../common/scope.ts';
import { takeEvents } from '../sys/eventfd.ts';
import { VFIO_PCI_IRQ, getIrqInfo, setIrqEventfds } from '../sys/vfio-irq.ts';
import type { Port } from '../sys/port.ts';
import { attempt } from '../sys/attempt.ts';
import type { VfioDevice } from './device.ts';

/** ms. How long an unbinding waits at most before it is noticed; the kernel asks again every few seconds anyway. */
const BETWEEN_LOOKS = 100;

type Notice = 'wanted' | 'failed';

const INDEX: Readonly<Record<Notice, number>> = { wanted: VFIO_PCI_IRQ.request, failed: VFIO_PCI_IRQ.error };

function lost(notice: Notice, address: string): WcvmmError {
  return new WcvmmError(
    'E_DEVICE_LOST',
    notice === 'wanted'
      ? `the kernel wants ${address} back, because somebody unbinds or removes it: the guest was stopped, and the device given back.`
      : `${address} reported an error that cannot be corrected (PCIe AER): the guest was stopped, and the device given back. The kernel's log says which error.`,
  );
}

/** Null where the kernel or the device has no such notice: an error's is a PCIe device's only. */
function listen(port: Port, scope: Scope, device: VfioDevice, notice: Notice): number | null {
  const index = INDEX[notice];
  if ((attempt(() => getIrqInfo(port, device.fd, index))?.count ?? 0) === 0) return null;
  const eventfd = port.eventfd();
  scope.defer(() => port.close(eventfd));
  setIrqEventfds(port, device.fd, index, 0, [eventfd]);
  return eventfd;
}

/**
 * Aborts when one of the devices is wanted back or has failed, with E_DEVICE_LOST as its reason, and when `signal` does. Whoever runs a guest under it
 * then closes the devices, which is what the kernel waits for. It listens until `scope` closes.
 */
export function abortWhenLost(
  port: Port,
  scope: Scope,
  devices: readonly VfioDevice[],
  signal: AbortSignal | null = null,
): AbortSignal {
  const controller = new AbortController();
  const heard = devices.flatMap((device) =>
    (['wanted', 'failed'] as const).flatMap((notice) => {
      const eventfd = listen(port, scope, device, notice);
      return eventfd === null ? [] : [{ notice, eventfd, address: device.pci.address }];
    }),
  );
  if (heard.length > 0) {
    const look = (): void => {
      for (const { notice, eventfd, address } of heard)
        if (takeEvents(port, eventfd)) controller.abort(lost(notice, address));
    };
    const timer = setInterval(look, BETWEEN_LOOKS).unref();
    scope.defer(() => clearInterval(timer));
  }
  return signal === null ? controller.signal : AbortSignal.any([signal, controller.signal]);
}
