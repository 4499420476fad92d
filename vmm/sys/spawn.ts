/**
 * Programs started by posix_spawn(3), for a process that starts one or two: to load Node's own way of doing that takes longer than
 * they run. Nobody is told when one ends; who wants to know waits.
 */
import { native } from './native.ts';
import { ERRNO, SysError } from './port.ts';
import { duplicate } from './sandbox-calls.ts';

/** At least as long as either libc's posix_spawn_file_actions_t and posix_spawnattr_t. */
const OPAQUE_BYTES = 1024;
const POSIX_SPAWN_SETSID = 0x80;
const O_RDWR = 2;
const POLLIN = 1;

function bind() {
  const libc = native().koffi.load(null);
  const actions = 'posix_spawn_file_actions';
  return {
    spawn: libc.func(
      'int posix_spawn(void *pid, const char *file, void *actions, void *attributes, const char **argv, const char **envp)',
    ),
    initActions: libc.func(`int ${actions}_init(void *actions)`),
    addDup2: libc.func(`int ${actions}_adddup2(void *actions, int fd, int as)`),
    addOpen: libc.func(`int ${actions}_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)`),
    destroyActions: libc.func(`int ${actions}_destroy(void *actions)`),
    initAttributes: libc.func('int posix_spawnattr_init(void *attributes)'),
    setFlags: libc.func('int posix_spawnattr_setflags(void *attributes, short flags)'),
    destroyAttributes: libc.func('int posix_spawnattr_destroy(void *attributes)'),
    waitpid: libc.func('int waitpid(int pid, void *status, int options)'),
    poll: libc.func('int poll(void *fds, unsigned long count, int milliseconds)'),
  };
}

let bound: ReturnType<typeof bind> | null = null;
const calls = (): ReturnType<typeof bind> => (bound ??= bind());

export interface ProgramStart {
  /** Not looked for anywhere. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What the program has as 0, 1, 2 and so on; null: /dev/null. Beside them it inherits what is not closed on exec, as ever. */
  readonly fds: readonly (number | null)[];
  /** A session of its own: Ctrl-C is not for it. */
  readonly ownSession?: boolean;
}

/** Its process id. Throws SysError, ENOENT where there is no such file. */
export function startProgram({ file, args, env, fds, ownSession = false }: ProgramStart): number {
  const libc = calls();
  const [actions, attributes, pid] = [new Uint8Array(OPAQUE_BYTES), new Uint8Array(OPAQUE_BYTES), new Int32Array(1)];
  // Above all that the program gets, so that none is overwritten before it is copied.
  const copies = fds.map((fd) => (fd === null ? null : duplicate(fd, fds.length)));
  libc.initActions(actions);
  libc.initAttributes(attributes);
  try {
    for (const [as, fd] of copies.entries()) {
      must(
        'file actions',
        fd === null ? libc.addOpen(actions, as, '/dev/null', O_RDWR, 0) : libc.addDup2(actions, fd, as),
      );
    }
    if (ownSession) must('posix_spawnattr_setflags', libc.setFlags(attributes, POSIX_SPAWN_SETSID));
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    must(`posix_spawn ${file}`, libc.spawn(pid, file, actions, attributes, [file, ...args, null], [...words, null]));
    return pid[0] ?? -1;
  } finally {
    libc.destroyActions(actions);
    libc.destroyAttributes(attributes);
    for (const fd of copies) if (fd !== null) native().close(fd);
  }
}

/** These calls return an error's number. */
function must(call: string, errno: number): void {
  if (errno !== 0) throw new SysError(call, errno);
}

export type ProgramEnd =
  { readonly kind: 'ended'; readonly code: number } | { readonly kind: 'killed'; readonly signal: number };

/** Waits until the program has ended. Throws SysError. */
export function waitForProgram(pid: number): ProgramEnd {
  const status = new Int32Array(1);
  retried('waitpid', () => calls().waitpid(pid, status, 0));
  const [word = 0] = status;
  const signal = word & 0x7f;
  return signal === 0 ? { kind: 'ended', code: (word >> 8) & 0xff } : { kind: 'killed', signal };
}

/** Whether a read of `fd` would not block, within so many milliseconds. Throws SysError. */
export function isReadable(fd: number, milliseconds: number): boolean {
  const end = Date.now() + milliseconds;
  return (
    retried('poll', () => {
      const left = Math.max(0, Math.ceil(end - Date.now()));
      // struct pollfd: the file, what is wanted, what there is.
      return calls().poll(Int32Array.of(fd, POLLIN), 1, left);
    }) > 0
  );
}

/** A signal's handler ends a call that waits. */
function retried(call: string, make: () => number): number {
  for (;;) {
    const result = make();
    if (result >= 0) return result;
    const errno = native().koffi.errno();
    if (errno !== ERRNO.EINTR) throw new SysError(call, errno);
  }
}
