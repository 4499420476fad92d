import { EXPRESS_CONFIG_SPACE, REG } from './registers.ts';
import type { FunctionOptions } from './options.ts';

/** Red Hat's generic PCI Express host bridge, as QEMU has it; class 06.00. */
const VENDOR_DEVICE = 0x0008_1b36;
const CLASS_REVISION = 0x0600_0000;

/** Device 0: it has nothing but its identity. */
export function hostBridge(): FunctionOptions {
  const reset = new Uint8Array(EXPRESS_CONFIG_SPACE);
  const view = new DataView(reset.buffer);
  view.setUint32(REG.id, VENDOR_DEVICE, true);
  view.setUint32(REG.status + 2, CLASS_REVISION, true);
  return {
    devfn: 0,
    reset,
    writable: new Uint8Array(EXPRESS_CONFIG_SPACE),
    config: new SharedArrayBuffer(EXPRESS_CONFIG_SPACE),
    bars: [],
    placed: new SharedArrayBuffer(0),
    slots: new SharedArrayBuffer(0),
    peers: [],
    peerMaps: new SharedArrayBuffer(0),
    exits: new SharedArrayBuffer(4),
    power: null,
    functionReset: null,
    interrupts: null,
    device: null,
  };
}
