/** A device that fails in the vCPU's thread, as the options say. */
import type { CreateDevice } from '../../../vmm/bus/device.ts';

export const createDevice: CreateDevice = (_context, options) => ({
  write() {
    if (options === 'ends the thread') process.exit(3);
    throw new Error('a device that is broken');
  },
});
