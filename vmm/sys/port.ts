/**
 * The one door to the kernel. Everything above takes a `Port`, so that a test can put a failing or a recording one in
 * its place and see each system call fail at each step.
 *
 * Addresses, offsets and lengths are bytes, as bigint. A call that the kernel refuses throws `SysError`.
 */
export interface Port {
  open(path: string, flags: number): number;
  close(fd: number): void;
  /** `argument` is an ioctl's structure (read and written in place) or its plain integer. */
  ioctl(fd: number, request: number, argument: Uint8Array | number): number;
  /** As `ioctl` with a plain integer; a refusal is returned, as -errno. For calls that fail often: throwing costs 50 times the call. */
  tryIoctl(fd: number, request: number, argument: number): number;
  mmap(request: MmapRequest): bigint;
  munmap(address: bigint, length: bigint): void;
  madvise(address: bigint, length: bigint, advice: number): void;
  pread(fd: number, into: Uint8Array, offset: bigint): number;
  pwrite(fd: number, from: Uint8Array, offset: bigint): number;
  /** For files without an offset. One that has nothing to give, and never blocks, is refused with EAGAIN. */
  read(fd: number, into: Uint8Array): number;
  write(fd: number, from: Uint8Array): number;
  memfd(name: string, length: bigint): number;
  /** Never blocks; its counter is 0. */
  eventfd(): number;
  /** The memory at `address` itself, not a copy. Never unmap under a live view: Mapping sees to that. At most 4 GiB (Node 20 aborts above). */
  view(address: bigint, length: number): ArrayBuffer;
  /** Where a buffer's bytes are, for structures that hold pointers. Keep the buffer alive while the kernel may look. */
  addressOf(buffer: Uint8Array): bigint;
  readText(path: string): string;
  writeText(path: string, text: string): void;
  makeFolder(path: string): void;
  removeFolder(path: string): void;
  list(path: string): readonly string[];
  /** The last component of the path that a symbolic link holds, or null where there is no such link. */
  linkName(path: string): string | null;
  /** All that a symbolic link holds, or null where there is no such link; one that may not be read is refused. */
  linkTarget(path: string): string | null;
  removeFile(path: string): void;
  exists(path: string): boolean;
  /** This process's own accesses to a mapping may fail: they are counted, and do not end it. What it returns ends that. */
  catchBusErrors?(address: bigint, length: bigint): () => void;
  /** How many such accesses have failed so far. */
  busErrors?(): number;
  /** Called each time before vCPUs are entered, with their devices made: from the first on, what is privileged may be gone. */
  beforeEntry?(): void;
}

export interface MmapRequest {
  readonly length: bigint;
  readonly protection: number;
  readonly flags: number;
  readonly fd: number;
  readonly offset: bigint;
  /** A hint, or with MAP_FIXED the place. */
  readonly address?: bigint;
}

/**
 * A system call's refusal. `errno` is the kernel's number, `errnoName` its symbol, `call` what was asked.
 *
 * `instanceof` holds for every copy of this class: a vCPU's thread is a bundle, and imports devices that are modules of their own.
 */
export class SysError extends Error {
  static override [Symbol.hasInstance](value: unknown): value is SysError {
    return value instanceof Error && value.name === 'SysError' && 'errno' in value;
  }

  readonly call: string;
  readonly errno: number;
  readonly errnoName: string;

  constructor(call: string, errno: number) {
    const name = errnoName(errno);
    super(`${call}: ${name}`);
    this.name = 'SysError';
    this.call = call;
    this.errno = errno;
    this.errnoName = name;
  }
}

/** Linux errno numbers that wcvmm tells apart (include/uapi/asm-generic/errno*.h; alike on arm64 and x86). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ENOSYS: 38,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EHWPOISON: 133,
} as const;

export type ErrnoName = keyof typeof ERRNO;

function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(ERRNO)) {
    if (value === errno) return name;
  }
  return `errno ${errno}`;
}

export function isErrno(error: unknown, ...names: readonly ErrnoName[]): error is SysError {
  return error instanceof SysError && names.some((name) => ERRNO[name] === error.errno);
}
