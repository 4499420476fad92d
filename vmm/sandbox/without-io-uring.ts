/**
 * libuv makes an io_uring when its loop begins (Node 22, for epoll_ctl; no setting keeps it from that), and ends the process where io_uring_enter is refused
 * afterwards. To let that pass would let everything pass that a ring can do, sockets among it, since no filter sees what is in a ring. So a process
 * that has one begins anew, under a filter that says there is no io_uring.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { ERRNO } from '../sys/port.ts';
import { execute, filterAllThreads, ioUringRefusal, setNoNewPrivileges } from '../sys/sandbox-calls.ts';
import { noIoUringProgram } from './filter.ts';

const FILES = '/proc/self/fd';

function hasRing(): boolean {
  return readdirSync(FILES).some((fd) => {
    try {
      return readlinkSync(`${FILES}/${fd}`) === 'anon_inode:[io_uring]';
    } catch {
      // Of the list itself.
      return false;
    }
  });
}

/**
 * Does not return where this process has an io_uring: it is then the same command line, in the same process, from its beginning. Call it before anything is done.
 *
 * @param has for tests
 *
 * Throws SysError where the kernel refuses that.
 */
export function restartWithoutIoUring(has: () => boolean = hasRing): void {
  if (!has() || ioUringRefusal() === ERRNO.ENOSYS) return;
  setNoNewPrivileges();
  filterAllThreads(noIoUringProgram(process.arch === 'arm64' ? 'arm64' : 'x64'));
  execute(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
}
