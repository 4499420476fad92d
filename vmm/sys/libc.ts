import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { busErrors, catchBusErrors } from './bus-error/catch.ts';
import { ioctlName } from './ioctl-names.ts';
import { native } from './native.ts';
import { ERRNO, SysError, isErrno } from './port.ts';
import type { Port } from './port.ts';

/** open(2) flags; O_CLOEXEC is always added. The values are those of arm64 and x86. */
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_EXCL = 0o200;
const O_CLOEXEC = 0o2000000;

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;

/** madvise(2): what fork(2) does not copy; what huge pages are wanted for. */
export const MADV_DONTFORK = 10;
export const MADV_HUGEPAGE = 14;

const MFD_CLOEXEC = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

function check(call: string, result: number): number {
  if (result < 0) throw new SysError(call, native().koffi.errno());
  return result;
}

/** node:fs errors, given the same shape as a system call's, so that callers know one kind. */
function file<T>(call: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const errno = error instanceof Error && 'errno' in error ? Number(error.errno) : -ERRNO.EIO;
    throw new SysError(call, Math.abs(errno));
  }
}

function linkTarget(path: string): string | null {
  try {
    return file(`readlink ${path}`, () => readlinkSync(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return null;
    throw error;
  }
}

export const libcPort: Port = {
  open: (path, flags) => check(`open ${path}`, native().open(path, flags | O_CLOEXEC)),
  close: (fd) => void check('close', native().close(fd)),
  ioctl(fd, request, argument) {
    const result =
      typeof argument === 'number'
        ? native().ioctlValue(fd, request, argument)
        : native().ioctlPointer(fd, request, argument);
    // The call's name is made for a failure only: it takes longer than many a call.
    return result < 0 ? check(ioctlName(request), result) : result;
  },
  tryIoctl(fd, request, argument) {
    const result = native().ioctlValue(fd, request, argument) as number;
    return result < 0 ? -native().koffi.errno() : result;
  },
  mmap({ address = 0n, length, protection, flags, fd, offset }) {
    const result = BigInt(native().mmap(address, length, protection, flags, fd, offset));
    if (result === -1n) throw new SysError('mmap', native().koffi.errno());
    return result;
  },
  madvise: (address, length, advice) => void check('madvise', native().madvise(address, length, advice)),
  munmap: (address, length) => void check('munmap', native().munmap(address, length)),
  pread: (fd, into, offset) => check('pread', Number(native().pread(fd, into, into.byteLength, offset))),
  pwrite: (fd, from, offset) => check('pwrite', Number(native().pwrite(fd, from, from.byteLength, offset))),
  read: (fd, into) => check('read', Number(native().read(fd, into, into.byteLength))),
  write: (fd, from) => check('write', Number(native().write(fd, from, from.byteLength))),
  eventfd: () => check('eventfd', native().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
  memfd(name, length) {
    const fd = check('memfd_create', native().memfdCreate(name, MFD_CLOEXEC));
    if (native().ftruncate(fd, length) < 0) {
      const failure = new SysError('ftruncate', native().koffi.errno());
      native().close(fd);
      throw failure;
    }
    return fd;
  },
  view: (address, length) => native().koffi.view(address, length),
  addressOf: (buffer) => native().koffi.address(buffer),
  readText: (path) => file(`read ${path}`, () => readFileSync(path, 'utf8')),
  writeText: (path, text) => file(`write ${path}`, () => writeFileSync(path, text)),
  makeFolder: (path) => file(`mkdir ${path}`, () => void mkdirSync(path)),
  removeFolder: (path) => file(`rmdir ${path}`, () => rmdirSync(path)),
  list: (path) => file(`readdir ${path}`, () => readdirSync(path)),
  linkTarget,
  linkName(path) {
    const target = linkTarget(path);
    return target === null ? null : basename(target);
  },
  removeFile: (path) => file(`unlink ${path}`, () => unlinkSync(path)),
  exists: existsSync,
  catchBusErrors,
  busErrors,
};

const SC_PAGESIZE = 30;

/** Bytes; 4, 16 or 64 KiB on arm64. */
export function pageSize(): number {
  return native().sysconf(SC_PAGESIZE);
}

/** Identifies the calling thread to `interruptThread`. */
export function threadId(): number {
  return native().gettid();
}

/** Any real-time signal that Node and koffi leave alone. */
const KICK_SIGNAL = 34 + 5;

/** Makes KICK_SIGNAL interrupt a system call and do nothing else. */
export function installKick(): void {
  onlyInterrupt(KICK_SIGNAL);
}

/**
 * Makes a signal interrupt a system call and do nothing else. Its handler is libc's `abs`: harmless, and native, so that no
 * JavaScript runs in signal context. No SA_RESTART, or KVM_RUN would simply go on.
 */
function onlyInterrupt(signal: number): void {
  const abs = native().addressOf('abs');
  // glibc's struct sigaction: handler, 128 bytes of mask, flags, restorer.
  const action = new Uint8Array(152);
  new DataView(action.buffer).setBigUint64(0, abs, true);
  check('sigaction', native().sigaction(signal, action, null));
}

const SIGALRM = 14;
const ITIMER_REAL = 0;

/** struct itimerval, by its interval in milliseconds below 1000: the first tick is as far away as the others are apart. */
const TICKS = new Map<number, Uint8Array>();

function ticksOf(ms: number): Uint8Array {
  const known = TICKS.get(ms);
  if (known !== undefined) return known;
  const timer = new Uint8Array(32);
  for (const microseconds of [8, 24]) new DataView(timer.buffer).setBigInt64(microseconds, BigInt(ms * 1000), true);
  TICKS.set(ms, timer);
  if (ms > 0) onlyInterrupt(SIGALRM);
  return timer;
}

/**
 * From now on a system call of the main thread is interrupted every `ms` milliseconds (below 1000) that it takes. The kernel
 * gives a process's signals to its main thread where that takes them.
 */
export function startTicking(ms: number): void {
  check('setitimer', native().setitimer(ITIMER_REAL, ticksOf(ms), null));
}

export function stopTicking(): void {
  startTicking(0);
}

/** Interrupts whatever system call thread `tid` of this process is in; nothing where the thread is gone. */
export function interruptThread(tid: number): void {
  if (native().tgkill(process.pid, tid, KICK_SIGNAL) < 0 && native().koffi.errno() !== ERRNO.ESRCH) {
    throw new SysError('tgkill', native().koffi.errno());
  }
}
