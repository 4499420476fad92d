import { WcvmmError } from '../../common/errors.ts';

/** What a device's module threw, as the run's failure. */
export function failedDevice(cause: unknown): WcvmmError {
  if (cause instanceof WcvmmError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WcvmmError(
    'E_VCPU',
    `an emulated device failed in the vCPU's thread (${why}); expected it to answer the guest. This is a fault of wcvmm or of the device's module: please report it; --debug shows where.`,
    { cause },
  );
}
