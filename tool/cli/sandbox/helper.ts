/**
 * The little that root must still do once the process that runs guests has no rights: a shell that was started before, with one pipe
 * for what is asked of it and one for the answers. It knows few verbs and two places, both with the asking process's own number in
 * their names: that process's VMs in debugfs, and its trace instances; it switches off a device that sysfs switched on; and it puts finished reports, whose names it was started with, in
 * their places. When the asking process is gone, however it went, it removes what is left of both.
 *
 * A shell, because a second Node would take longer to start than most runs.
 */
import type { Scope } from '../../../common/scope.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { ERRNO, SysError } from '../../../vmm/sys/port.ts';
import { pipe } from '../../../vmm/sys/sandbox-calls.ts';
import { startProgram } from '../../../vmm/sys/spawn.ts';
import type { Helper } from '../../../vmm/sandbox/kept-port.ts';

/** $1 is the asking process, $2 the file that switches its device off, if any; then for each report its finished file's name and its own. Answers: a status, a length, that many bytes. */
const SCRIPT = `
LC_ALL=C; export LC_ALL
trap '' INT TERM HUP PIPE
pid=$1 enable=$2; shift 2
answer() { printf '%s %s\\n%s' "$1" "\${#2}" "$2"; }
mine() {
	case $1 in
	*..* | *' '*) return 1 ;;
	"$enable") [ "$verb $rest" = 'write 0' ] ;;
	/sys/kernel/debug/kvm/$pid-[0-9]*/stage2_page_tables) [ "$verb" = read ] ;;
	/sys/kernel/tracing/instances/wcvmm-$pid-[0-9]* | /sys/kernel/debug/tracing/instances/wcvmm-$pid-[0-9]*) : ;;
	*) return 1 ;;
	esac
}
reason() { if [ -e "$1" ]; then echo EACCES; else echo ENOENT; fi; }
place() {
	n=$1; shift
	shift $((2 * n))
	mv -f -- "$1" "$2"
}
while read -r verb path rest; do
	case $verb in
	place) if text=$(place "$path" "$@" 2>&1); then answer ok ''; else answer EIO "$text"; fi; continue ;;
	esac
	if ! mine "$path"; then answer EPERM ''; continue; fi
	case $verb in
	read) if text=$(cat "$path" 2>/dev/null); then answer ok "$text"; else answer "$(reason "$path")" ''; fi ;;
	write) if { printf '%s' "$rest" >"$path"; } 2>/dev/null; then answer ok ''; else answer "$(reason "$path")" ''; fi ;;
	mkdir) if text=$(mkdir "$path" 2>&1); then answer ok ''; else answer EIO "$text"; fi ;;
	rmdir) if text=$(rmdir "$path" 2>&1); then answer ok ''; else answer EIO "$text"; fi ;;
	*) answer EINVAL '' ;;
	esac
done
for instance in /sys/kernel/tracing/instances/wcvmm-$pid-[0-9]*; do
	if [ -d "$instance" ]; then rmdir "$instance"; fi
done 2>/dev/null
while [ $# -ge 2 ]; do rm -f -- "$1"; shift 2; done 2>/dev/null
`;

/** A report that is written under another name first. */
export interface Placed {
  readonly temporary: string;
  readonly path: string;
}

export interface RunningHelper extends Helper {
  /** Puts report number `index` in its place. Throws SysError. */
  place(index: number): void;
}

const OWN =
  /^\/sys\/kernel\/(?:debug\/kvm\/\d+-\d+\/stage2_page_tables|(?:debug\/)?tracing\/instances\/wcvmm-\d+-\d+(?:\/.*)?)$/;

/** Ends when `scope` closes, or with this process. Throws SysError where there is no shell. */
export function startHelper(scope: Scope, reports: readonly Placed[], device: string | null): RunningHelper {
  const [requests, ask] = pipe();
  const [answers, answer] = pipe();
  const names = reports.flatMap(({ temporary, path }) => [temporary, path]);
  const enable = device === null ? '' : `/sys/bus/pci/devices/${device}/enable`;
  startProgram({
    file: '/bin/sh',
    args: ['-c', SCRIPT, 'wcvmm-helper', String(process.pid), enable, ...names],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    fds: [requests, answer, null],
    // Ctrl-C is for those who have work to stop; this one ends afterwards.
    ownSession: true,
  });
  libcPort.close(requests);
  libcPort.close(answer);
  scope.defer(() => {
    libcPort.close(ask);
    // It has put everything in order when it says no more.
    while (libcPort.read(answers, new Uint8Array(64)) > 0);
    libcPort.close(answers);
  });
  const does = (request: string): string => {
    libcPort.write(ask, Buffer.from(`${request}\n`));
    const [status = '', length = '0'] = readLine(answers).split(' ');
    const text = Buffer.from(readWhole(answers, Number(length))).toString('utf8');
    if (status === 'ok') return text;
    const errno = Object.entries(ERRNO).find(([name]) => name === status)?.[1] ?? ERRNO.EIO;
    throw new SysError(text === '' ? request : `${request}: ${text}`, errno);
  };
  return {
    takes: (path) => path === enable || OWN.test(path),
    readText: (path) => does(`read ${path}`),
    writeText: (path, text) => void does(`write ${path} ${text}`),
    makeFolder: (path) => void does(`mkdir ${path}`),
    removeFolder: (path) => void does(`rmdir ${path}`),
    place: (index) => void does(`place ${index}`),
  };
}

function readLine(fd: number): string {
  const [bytes, one] = [[] as number[], new Uint8Array(1)];
  while (libcPort.read(fd, one) === 1 && one[0] !== 0x0a) bytes.push(one[0] ?? 0);
  if (bytes.length === 0) throw new SysError('the helper process has ended', ERRNO.EIO);
  return String.fromCharCode(...bytes);
}

function readWhole(fd: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const got = libcPort.read(fd, bytes.subarray(at));
    if (got <= 0) throw new SysError('the helper process has ended', ERRNO.EIO);
    at += got;
  }
  return bytes;
}
