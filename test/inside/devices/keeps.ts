/** A device that keeps a KiB for each store for ever, as none may: what the tests of memory must be able to see. */
import type { CreateDevice } from '../../../vmm/bus/device.ts';

export const createDevice: CreateDevice = () => {
  const kept: Uint8Array[] = [];
  return {
    write() {
      kept.push(new Uint8Array(1024).fill(1));
      return null;
    },
  };
};
