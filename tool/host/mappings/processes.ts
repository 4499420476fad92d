/**
 * Mappings of processes, from /proc. What stands there is partly the processes' own: a name may hold anything, and a file may be
 * called as sysfs's are. Nothing but its own shape is believed of a line, and whoever ends meanwhile is passed over.
 */
import { attempt, readOr } from '../../../vmm/sys/attempt.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { oneLine } from '../../verify/origin.ts';

/** One line of /proc/PID/maps (proc_pid_maps(5)). Addresses, offsets and lengths are bytes. */
export interface ProcessMapping {
  readonly start: bigint;
  readonly length: bigint;
  readonly writable: boolean;
  readonly shared: boolean;
  readonly offset: bigint;
  /** `major:minor` of the file system, hexadecimal. */
  readonly device: string;
  /** As the kernel writes it: a newline is \012, and what is gone ends with ` (deleted)`. */
  readonly path: string;
}

export interface Process {
  readonly pid: number;
  /** One line without control characters. */
  readonly command: string;
  /** ISO 8601, UTC; null: not known. */
  readonly started: string | null;
}

const LINE =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-])([w-])[x-]([sp]) ([0-9a-f]{1,16}) ([0-9a-f]+:[0-9a-f]+) \d+ +(\S.*)$/;

/** Lines without a path, and what is no such line, are left out. */
export function parseMaps(text: string): readonly ProcessMapping[] {
  return text.split('\n').flatMap((line): ProcessMapping[] => {
    const [, start, end, , write, shared, offset, device = '', path = ''] = LINE.exec(line) ?? [];
    const [from, to] = [BigInt(`0x${start ?? 0}`), BigInt(`0x${end ?? 0}`)];
    if (to <= from) return [];
    return [
      {
        start: from,
        length: to - from,
        writable: write === 'w',
        shared: shared === 's',
        offset: BigInt(`0x${offset}`),
        device,
        path,
      },
    ];
  });
}

/** Numbers of the processes that there are, or the one that is asked for. */
export function processIds(port: Port, only: number | null): readonly number[] {
  const all = (attempt(() => port.list('/proc')) ?? []).filter((name) => /^[1-9]\d{0,9}$/.test(name)).map(Number);
  return only === null ? all.toSorted((a, b) => a - b) : all.filter((pid) => pid === only);
}

const TICKS_PER_SECOND = 100;
const LONGEST_NAME = 64;

export function describeProcess(port: Port, pid: number): Process {
  const stat = readOr(port, `/proc/${pid}/stat`, '');
  // The name stands in parentheses and may hold any of its own: the last one ends it.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 1)
    .trim()
    .split(' ');
  const ticks = fields[19];
  const boot = /^btime (\d{1,12})$/m.exec(readOr(port, '/proc/stat', ''))?.[1];
  const known = ticks !== undefined && /^\d{1,15}$/.test(ticks) && boot !== undefined;
  return {
    pid,
    command: oneLine(readOr(port, `/proc/${pid}/comm`, ''), LONGEST_NAME) ?? '?',
    started: known
      ? new Date((Number(boot) + Math.floor(Number(ticks) / TICKS_PER_SECOND)) * 1000).toISOString()
      : null,
  };
}

/** Devices that the process has open through VFIO, by their addresses: the kernel says so since Linux 6.16. */
export function vfioDevicesOf(port: Port, pid: number): readonly string[] {
  const files = attempt(() => port.list(`/proc/${pid}/fd`)) ?? [];
  const found = files
    .filter((fd) => /^\d+$/.test(fd) && attempt(() => port.linkTarget(`/proc/${pid}/fd/${fd}`)) === VFIO_FILE)
    .flatMap(
      (fd) =>
        /^vfio-device-syspath: \/sys\/devices\/\S*\/(\S+)$/m.exec(readOr(port, `/proc/${pid}/fdinfo/${fd}`, ''))?.[1] ??
        [],
    );
  return [...new Set(found)];
}

/** What /proc calls a file of VFIO's that came of a group. No path of a file begins without a slash. */
export const VFIO_FILE = 'anon_inode:[vfio-device]';
