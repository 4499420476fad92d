/**
 * The one error type of wcvmm. `code` never changes once published; `message` is one sentence that says
 * what happened, what was expected and what to do. The system's own error, where there is one, is `cause`.
 * docs/errors.md explains each code.
 */
export const ERROR_CODES = [
  'E_USAGE',
  'E_MAP_SYNTAX',
  'E_MAP_OVERLAP',
  'E_MAP_ALIGNMENT',
  'E_MAP_RANGE',
  'E_MAP_REGION',
  'E_MAP_CONFLICT',
  'E_ATTRIBUTE',
  'E_CACHEABLE',
  'E_COOKIE_UNSUPPORTED',
  'E_COOKIE_REFUSED',
  'E_COOKIE_EXHAUSTED',
  'E_SOURCE',
  'E_DEVICE_ABSENT',
  'E_DEVICE_DRIVER',
  'E_DEVICE_IN_USE',
  'E_DEVICE_LOST',
  'E_DEVICE_WRITES',
  'E_BIND',
  'E_NO_IOMMU',
  'E_NO_KVM',
  'E_PERMISSION',
  'E_SYSCALL',
  'E_IOVA',
  'E_PASSTHROUGH',
  'E_GUEST_RAM',
  'E_MEMSLOT',
  'E_GUEST_IMAGE',
  'E_GUEST_TIMEOUT',
  'E_GUEST_RECORDS',
  'E_GUEST_EXIT',
  'E_VCPU',
  'E_REPORT',
  'E_PROFILE',
  'E_SETUP',
  'E_KERNEL_SOURCE',
  'E_KERNEL_BUILD',
  'E_DISK',
  'E_TESTBED',
  'E_INTERRUPTED',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export class WcvmmError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'WcvmmError';
    this.code = code;
  }
}

/** Process exit codes: 0 as predicted and shown to be, 1 a mismatch, 2 could not run, 3 nothing showed the memory types. */
export const EXIT = { match: 0, mismatch: 1, failed: 2, notProven: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
