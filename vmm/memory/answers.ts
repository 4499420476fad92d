/** Whether a device answered what this process asked of it through a mapping. */
import { WcvmmError } from '../../common/errors.ts';
import type { Port } from '../sys/port.ts';

/** What it returns throws E_DEVICE_LOST where an access of this process's own has failed since. */
export function expectAnswers(port: Port): () => void {
  const before = port.busErrors?.() ?? 0;
  return () => {
    if ((port.busErrors?.() ?? 0) !== before) throw deviceLost();
  };
}

function deviceLost(): WcvmmError {
  return new WcvmmError(
    'E_DEVICE_LOST',
    'the device stopped answering while a guest had it: somebody switched its memory decoding off, reset it or took it away, or it failed. The guest was stopped. dmesg may say more; check who else uses the device, and run again.',
  );
}
