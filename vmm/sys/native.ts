/**
 * libc's functions, bound by koffi when the first of them is wanted: whoever imports a parser or a type of the VMM needs no
 * native code, and can be on a machine that has none.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type koffiModule from 'koffi';
import { projectRoot } from '../../common/paths.ts';

type Koffi = typeof koffiModule;

function bind(koffi: Koffi) {
  const libc = koffi.load(null);
  return {
    koffi,
    open: libc.func('int open(const char *path, int flags)'),
    close: libc.func('int close(int fd)'),
    ioctlPointer: libc.func('int ioctl(int fd, unsigned long request, void *argument)'),
    ioctlValue: libc.func('int ioctl(int fd, unsigned long request, uint64_t argument)'),
    mmap: libc.func('int64_t mmap(uint64_t address, size_t length, int protection, int flags, int fd, int64_t offset)'),
    munmap: libc.func('int munmap(uint64_t address, size_t length)'),
    madvise: libc.func('int madvise(uint64_t address, size_t length, int advice)'),
    pread: libc.func('int64_t pread(int fd, void *into, size_t length, int64_t offset)'),
    pwrite: libc.func('int64_t pwrite(int fd, void *from, size_t length, int64_t offset)'),
    read: libc.func('int64_t read(int fd, void *into, size_t length)'),
    write: libc.func('int64_t write(int fd, void *from, size_t length)'),
    eventfd: libc.func('int eventfd(unsigned int initial, int flags)'),
    memfdCreate: libc.func('int memfd_create(const char *name, unsigned int flags)'),
    ftruncate: libc.func('int ftruncate(int fd, int64_t length)'),
    sysconf: libc.func('long sysconf(int name)'),
    gettid: libc.func('int gettid()'),
    tgkill: libc.func('int tgkill(int process, int thread, int signal)'),
    setitimer: libc.func('int setitimer(int which, void *next, void *previous)'),
    sigaction: libc.func('int sigaction(int signal, void *action, void *previous)'),
    /** Address of a function of libc's. */
    addressOf: (name: string): bigint => koffi.address(libc.symbol(name)),
  };
}

let bound: ReturnType<typeof bind> | null = null;

export function native(): ReturnType<typeof bind> {
  return (bound ??= bind(loadKoffi(createRequire(import.meta.url))));
}

/**
 * koffi's own loader looks for its library in many places, which takes five times as long as to load it: first where it is on most
 * machines. By its path, where the project has its packages to itself: Node asks about each folder on the way to a package's name.
 */
function loadKoffi(require: NodeJS.Require): Koffi {
  const library = `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;
  for (const place of [join(projectRoot, 'node_modules', library), library]) {
    try {
      return require(place) as Koffi;
    } catch {
      // It is somewhere else.
    }
  }
  return require('koffi') as Koffi;
}
