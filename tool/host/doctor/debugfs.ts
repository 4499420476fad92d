/** debugfs and tracefs, through which the kernel shows what it programmed. */
import { isErrno, SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { missing, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';

export const DEBUGFS = '/sys/kernel/debug';
export const TRACEFS = '/sys/kernel/tracing';

function readable(port: Port, path: string): 'yes' | 'no' | 'forbidden' {
  try {
    port.list(path);
    return 'yes';
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) return 'forbidden';
    if (error instanceof SysError) return 'no';
    throw error;
  }
}

export function debugfs(port: Port): Finding {
  const answer = readable(port, `${DEBUGFS}/kvm`);
  if (answer === 'yes') return ok('debugfs', `${DEBUGFS}/kvm can be read`);
  if (answer === 'forbidden' || readable(port, DEBUGFS) === 'forbidden')
    return missing('debugfs', `${DEBUGFS} cannot be read by this user`, 'run as root', false);
  return missing(
    'debugfs',
    `${DEBUGFS}/kvm does not exist`,
    'mount -t debugfs debugfs /sys/kernel/debug, on a kernel with CONFIG_DEBUG_FS',
    false,
  );
}

/** A file that the kernel creates when it boots: it exists or it does not. */
export function kernelFile(port: Port, id: string, path: string, what: string, fix: string): Finding {
  if (port.exists(path)) return ok(id, `${path}: ${what}`);
  const folder = path.split('/').slice(0, 4).join('/');
  if (readable(port, folder) === 'forbidden')
    return unknown(id, `${folder} cannot be read by this user`, 'run as root');
  return missing(id, `${path} does not exist`, fix, false);
}
