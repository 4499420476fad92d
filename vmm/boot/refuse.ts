import { WcvmmError } from '../../common/errors.ts';

/** @param what follows "the guest kernel cannot be used: ", and says what to do */
export function refuseKernel(what: string): never {
  throw new WcvmmError('E_GUEST_IMAGE', `the guest kernel cannot be used: ${what}`);
}

export function refuseInitrd(what: string): never {
  throw new WcvmmError('E_GUEST_IMAGE', `the initrd cannot be used: ${what}`);
}

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
