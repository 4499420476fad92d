import { WcvmmError } from '../../common/errors.ts';
import { formatSize } from '../../common/size.ts';
import type { Mapping } from '../memory/mapping.ts';
import type { Placement } from '../memory/place.ts';
import type { Window } from '../memory/windows.ts';
import { isErrno } from '../sys/port.ts';
import type { BarSource } from './source.ts';

/** Maps a planned window, and says what the kernel's refusal means. Throws E_MAP_CONFLICT, or as the source does. */
export function mapWindow(source: BarSource, window: Window, placement: Placement): Mapping {
  return explainRefusal(source, window, () => source.map(window, placement));
}

/** Runs what maps a window of `source`. Throws as mapWindow does. */
export function explainRefusal<T>(source: BarSource, window: Window, map: () => T): T {
  try {
    return map();
  } catch (error) {
    throw refusedMapping(error, source, window);
  }
}

function refusedMapping(error: unknown, { kind }: BarSource, { bar, offset, length, attribute }: Window): unknown {
  if (!isErrno(error, 'EBUSY', 'ENXIO', 'EINVAL', 'ENOMEM', 'EPERM', 'EACCES', 'EAGAIN')) return error;
  const what = `the kernel refused to map bar${bar}:${formatSize(offset)}+${formatSize(length)} as ${attribute} from --source ${kind} (${error.errnoName})`;
  const advice =
    error.errnoName === 'EBUSY'
      ? 'Something has mapped a page of it with another memory type, and on x86 a page cannot be write-combining by VFIO and uncached by something else, e.g. the files in sysfs. /sys/kernel/debug/x86/pat_memtype_list shows which ranges have which type; choose that attribute, or end the other mapping.'
      : 'Check that the device still answers and that the range is inside its BAR.';
  return new WcvmmError(error.errnoName === 'EBUSY' ? 'E_MAP_CONFLICT' : 'E_SYSCALL', `${what}. ${advice}`, {
    cause: error,
  });
}
