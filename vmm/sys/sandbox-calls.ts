/** The system calls by which a process gives up rights; they are bound when the first is wanted. Numbers: include/uapi/linux. */
import { native } from './native.ts';
import { SysError } from './port.ts';

const PR_CAPBSET_DROP = 24;
const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const LAST_POSSIBLE_CAPABILITY = 63;

/** Alike on every architecture that has the numbers of asm-generic, and on x86-64: newer than both. */
const SYS_LANDLOCK_CREATE_RULESET = 444;
const SYS_LANDLOCK_RESTRICT_SELF = 446;
const SYS_SECCOMP: Readonly<Partial<Record<string, number>>> = { x64: 317, arm64: 277 };
const SYS_CAPSET: Readonly<Partial<Record<string, number>>> = { x64: 126, arm64: 91 };

/** Alike on every architecture. */
export const SYS_IO_URING_SETUP = 425;

const RLIMIT_MEMLOCK = 8;
const F_DUPFD_CLOEXEC = 1030;
const F_SETFD = 2;
const O_CLOEXEC = 0o2000000;

function bind() {
  const libc = native().koffi.load(null);
  return {
    prctl: libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)'),
    call: libc.func('long syscall(long number, uint64_t a, uint64_t b, uint64_t c)'),
    callWithBuffers: libc.func('long syscall(long number, void *a, void *b)'),
    seccomp: libc.func('long syscall(long number, unsigned int operation, unsigned int flags, void *argument)'),
    createRuleset: libc.func('long syscall(long number, void *attributes, size_t size, uint32_t flags)'),
    setgroups: libc.func('int setgroups(size_t count, void *groups)'),
    setresgid: libc.func('int setresgid(uint32_t real, uint32_t effective, uint32_t saved)'),
    setresuid: libc.func('int setresuid(uint32_t real, uint32_t effective, uint32_t saved)'),
    setrlimit: libc.func('int setrlimit(int resource, void *limit)'),
    fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
    execv: libc.func('int execv(const char *path, const char **arguments)'),
    pipe2: libc.func('int pipe2(void *fds, int flags)'),
  };
}

let bound: ReturnType<typeof bind> | null = null;
const calls = (): ReturnType<typeof bind> => (bound ??= bind());

function check(call: string, result: number): number {
  if (result < 0) throw new SysError(call, native().koffi.errno());
  return result;
}

/** No program that is started from now on gets more rights than this thread; seccomp and Landlock ask for it. Of this thread. */
export function setNoNewPrivileges(): void {
  check('prctl PR_SET_NO_NEW_PRIVS', calls().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/** Other processes of the same user cannot trace this one, nor read its memory. */
export function setUndumpable(): void {
  check('prctl PR_SET_DUMPABLE', calls().prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/** Empties the bounding and the ambient set of this thread, and of those that it starts; nothing where it may not. */
export function dropBoundingSet(): void {
  const { prctl } = calls();
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (let capability = 0; capability <= LAST_POSSIBLE_CAPABILITY; capability += 1) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return;
  }
}

/** Gives up the capabilities of this thread. Another user's id takes them from every thread: see dropUser. */
export function dropCapabilities(): void {
  // struct __user_cap_header_struct: _LINUX_CAPABILITY_VERSION_3, this thread; then two empty __user_cap_data_struct.
  const header = Uint8Array.of(0x22, 0x05, 0x08, 0x20, 0, 0, 0, 0);
  check('capset', calls().callWithBuffers(numberOf('capset', SYS_CAPSET), header, new Uint8Array(24)));
}

/** Makes all threads another user's, by libc, which tells each of them: with root's id every capability goes. */
export function dropUser(id: number): void {
  check('setgroups', calls().setgroups(0, null));
  check('setresgid', calls().setresgid(id, id, id));
  check('setresuid', calls().setresuid(id, id, id));
}

/** Memory that is pinned for DMA is counted against this limit once CAP_IPC_LOCK is gone. */
export function liftMemlock(): void {
  calls().setrlimit(RLIMIT_MEMLOCK, new Uint8Array(16).fill(0xff));
}

/** Every thread of the process gets the filter, a program of struct sock_filter, or none does. */
export function filterAllThreads(program: Uint8Array): void {
  const [SET_MODE_FILTER, TSYNC] = [1, 1];
  const header = new DataView(new ArrayBuffer(16));
  header.setUint16(0, program.byteLength / 8, true);
  header.setBigUint64(8, native().koffi.address(program), true);
  const result = calls().seccomp(numberOf('seccomp', SYS_SECCOMP), SET_MODE_FILTER, TSYNC, header.buffer);
  check('seccomp', result);
  // Not thrown away by the garbage collector before the kernel has read it.
  if (result > 0 || program.byteLength === 0) throw new SysError(`seccomp: thread ${result} has another filter`, 1);
}

/** Whether the kernel knows seccomp filters (SECCOMP_GET_ACTION_AVAIL). */
export function hasSeccompFilter(): boolean {
  const number = SYS_SECCOMP[process.arch];
  return number !== undefined && calls().seccomp(number, 2, 0, Uint8Array.of(0, 0, 5, 0)) === 0;
}

/** Landlock's ABI version; 0 where the kernel has none, or has it switched off. */
export function landlockAbi(): number {
  return Math.max(0, calls().createRuleset(SYS_LANDLOCK_CREATE_RULESET, null, 0, 1));
}

/** @param attributes struct landlock_ruleset_attr, as long as the ABI has it */
export function restrictByLandlock(attributes: Uint8Array, flags: number, close: (fd: number) => void): void {
  const ruleset = check(
    'landlock_create_ruleset',
    calls().createRuleset(SYS_LANDLOCK_CREATE_RULESET, attributes, attributes.byteLength, 0),
  );
  try {
    check('landlock_restrict_self', calls().call(SYS_LANDLOCK_RESTRICT_SELF, ruleset, flags, 0));
  } finally {
    close(ruleset);
  }
}

/** What the kernel says to an io_uring of no entries, which it never makes. */
export function ioUringRefusal(): number {
  calls().callWithBuffers(SYS_IO_URING_SETUP, null, null);
  return native().koffi.errno();
}

/** This process becomes another program's, which has its standard streams; comes back only to throw. @param argv with the program's own name */
export function execute(path: string, argv: readonly string[]): never {
  // Node lets no program inherit anything that it does not give it itself.
  for (const stream of [0, 1, 2]) calls().fcntl(stream, F_SETFD, 0);
  calls().execv(path, [...argv, null]);
  throw new SysError(`execv ${path}`, native().koffi.errno());
}

/** Another number for the same open file, `least` or above. */
export function duplicate(fd: number, least = 0): number {
  return check('fcntl F_DUPFD_CLOEXEC', calls().fcntl(fd, F_DUPFD_CLOEXEC, least));
}

/** [what is read from, what is written to]; neither is inherited. */
export function pipe(): readonly [number, number] {
  const fds = new Int32Array(2);
  check('pipe2', calls().pipe2(fds, O_CLOEXEC));
  return [fds[0] ?? -1, fds[1] ?? -1];
}

function numberOf(name: string, numbers: Readonly<Partial<Record<string, number>>>): number {
  const number = numbers[process.arch];
  if (number === undefined) throw new SysError(`${name} on ${process.arch}`, 38);
  return number;
}
