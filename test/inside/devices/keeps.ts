/** A device that keeps something of each store for ever, as none may: what the tests of memory must be able to see. */
import type { CreateDevice } from '../../../vmm/bus/device.ts';

export const createDevice: CreateDevice = () => {
  const kept: { readonly offset: number; readonly length: number }[] = [];
  return {
    write(offset, length) {
      kept.push({ offset, length });
      return null;
    },
  };
};
