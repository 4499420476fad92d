/** The PCI host bridge of a VM, made in the main thread: devices in, the description for the vCPUs' threads out. */
import { WcvmmError } from '../../../common/errors.ts';
import type { Scope } from '../../../common/scope.ts';
import type { DeviceDescription } from '../../bus/device.ts';
import { pageSize as hostPageSize } from '../../sys/libc.ts';
import type { Port } from '../../sys/port.ts';
import type { DmaSpace } from '../../vfio/dma.ts';
import { ecamAt } from './ecam.ts';
import { hostBridge } from './host-bridge.ts';
import { PciHost } from './host.ts';
import { pciMemoryAt } from './memory.ts';
import type { FunctionOptions, PciHostOptions } from './options.ts';
import { openFunction } from './passthrough.ts';
import type { PreparedFunction } from './passthrough.ts';
import { assignBars } from './placement.ts';
import type { BridgeWindows } from './placement.ts';
import { pciPorts } from './ports.ts';
import type { PassedDevice, PciHostRequest } from './request.ts';
import { REG } from './registers.ts';

export interface OpenPciHost {
  readonly options: PciHostOptions;
  /** What stands on the buses of the VM. @param ecamBase guest-physical */
  descriptions(ecamBase: number, hasPorts: boolean): readonly DeviceDescription[];
  /** All functions as after power-on, for a guest that reboots. No vCPU may run. */
  reset(): void;
  /** Accesses to BARs that were exits, by device. */
  exits(): readonly number[];
}

/** KVM_MAX_IRQ_ROUTES. */
const MOST_GSIS = 4096;
const MOST_DEVICES = 31;

/**
 * Device number 0 is the host bridge itself; the devices follow in their order. All that they hold in KVM and VFIO ends with
 * `scope`, which must close after the last vCPU has ended and before the VM and the devices do.
 *
 * Throws E_PASSTHROUGH, and as planWindows and mapWindow do.
 */
export function openPciHost(port: Port, scope: Scope, request: PciHostRequest): OpenPciHost {
  const { vm, windows, devices, firstGsi, pageSize = hostPageSize() } = request;
  if (devices.length > MOST_DEVICES) throw tooMany(`${devices.length} devices`, `${MOST_DEVICES} on one bus`);
  let gsi = firstGsi;
  const prepared = devices.map((device, index): PreparedFunction => {
    const peers = devices.flatMap((other) => (other === device ? [] : spaceOf(other)));
    const place = { devfn: (index + 1) << 3, gsi, pageSize: BigInt(pageSize) };
    const one = openFunction(port, scope, request, { device, ...place, peers });
    gsi += one.options.interrupts?.vectors ?? 0;
    return one;
  });
  if (gsi > MOST_GSIS) throw tooMany(`${gsi} interrupts`, `${MOST_GSIS} in KVM`);
  placeAtReset(prepared, windows);
  const options: PciHostOptions = {
    vm,
    lock: new SharedArrayBuffer(4),
    configAddress: new SharedArrayBuffer(4),
    windows: [windows.low, windows.high],
    functions: [hostBridge(), ...prepared.map((one) => one.options)],
    fixedRoutes: request.fixedRoutes,
  };
  const host = new PciHost(port, options);
  host.reset();
  scope.defer(() => host.close());
  return {
    options,
    descriptions: (ecamBase, hasPorts) => [
      ecamAt(ecamBase, options),
      pciMemoryAt(windows.low, options),
      pciMemoryAt(windows.high, options),
      ...(hasPorts ? [pciPorts(options)] : []),
    ],
    reset: () => host.reset(),
    exits: () => prepared.map((one) => new Uint32Array(one.options.exits)[0] ?? 0),
  };
}

/** Where the device reaches what is mapped for it; nowhere if it may start no transfers. */
function spaceOf({ source, mayTransfer }: PassedDevice): readonly DmaSpace[] {
  const { dma } = source.device;
  return mayTransfer && dma.kind !== 'none' ? [dma] : [];
}

/** Writes addresses into the BARs, as firmware does: a guest may keep them. */
function placeAtReset(prepared: readonly PreparedFunction[], windows: BridgeWindows): void {
  const all = prepared.flatMap(({ name, bars, options }) =>
    bars.map((bar) => ({ ...bar, name: `BAR ${bar.bar} of ${name}`, options })),
  );
  const addresses = assignBars(all, windows);
  for (const [index, { bar, is64Bit, options }] of all.entries())
    writeBar(options, bar, is64Bit, addresses[index] ?? 0);
}

function writeBar({ reset }: FunctionOptions, bar: number, is64Bit: boolean, address: number): void {
  const view = new DataView(reset.buffer, reset.byteOffset, reset.byteLength);
  const at = REG.bar0 + bar * 4;
  view.setUint32(at, view.getUint32(at, true) | (address % 2 ** 32), true);
  if (is64Bit) view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
}

function tooMany(what: string, most: string): WcvmmError {
  return new WcvmmError(
    'E_PASSTHROUGH',
    `the guest's devices need ${what}, and there are ${most}. Pass fewer devices to the guest.`,
  );
}
