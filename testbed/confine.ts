/** How an emulator is started: without a network, without root, and so that it ends with this process. */
import { cacheRoot } from '../common/cache.ts';

export interface Confinement {
  /** The session's folder: all that the emulator may write to. It becomes the emulator's. */
  readonly folder: string;
  /**
   * To have no network takes root or a user namespace: `none` insists on it, `best-effort` is for an emulator that would not use
   * one anyway.
   */
  readonly network: 'none' | 'best-effort';
  /** It opens this terminal by name, so it must be this user's. */
  readonly isOnTerminal?: boolean;
}

/** Users that no machine has: systemd takes them for services of the moment, too. Each session has another, so that none reaches into another. */
const [FIRST_USER, USERS] = [61_184, 4336];

export const EMULATOR_USERS: readonly number[] = Array.from({ length: USERS }, (_, index) => FIRST_USER + index);

export function emulatorUser(pid = process.pid): number {
  return FIRST_USER + (pid % USERS);
}

/**
 * As root, in a mount namespace of the emulator's own. Nobody but root can look into root's home, where the cache usually is: there, the
 * emulator sees the cache and its folder, and nothing else. $1 to $4: this process, the user, the folder, the cache; then the program.
 */
const SCRIPT = `
set -e
parent=$1 user=$2 folder=$3 cache=$4; shift 4
# Killed before the emulator was told to end with it.
[ "$PPID" -eq "$parent" ]
# A user whose files are for no one else: what emulators read of the cache is no secret.
case $(umask) in
*[4-7]) if [ -w "$cache" ]; then
	chmod a+rx "$cache"
	for made in kernel rootfs boot-cd bochs-state compiled; do
		if [ -d "$cache/$made" ]; then chmod -R a+rX "$cache/$made"; fi
	done
	fi ;;
esac
umask 022
for kept in "$cache" "$folder"; do
	hidden=
	at=$kept
	while [ "$at" != / ]; do
		at=$(dirname "$at")
		case $(stat -c %A "$at") in *[xt]) ;; *) hidden=$at ;; esac
	done
	[ -n "$hidden" ] || continue
	exec 8<"$cache" 9<"$folder"
	mount -t tmpfs -o mode=755,size=1m tmpfs "$hidden"
	mkdir -p "$cache" "$folder"
	mount -c --bind /proc/self/fd/8 "$cache"
	mount -c --bind /proc/self/fd/9 "$folder"
	mount -o remount,bind,ro "$cache"
	exec 8<&- 9<&-
done
if [ "$user" = 0 ]; then id=; else id="--reuid=$user --regid=$user --clear-groups"; chown -hR "$user:$user" "$folder"; fi
cd "$folder"
exec setpriv --pdeathsig=KILL $id --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
`;

/** The command line that starts `program`. It is killed when this process ends, even if that is killed itself. */
export function confined(program: string, { folder, network, isOnTerminal }: Confinement): [string, ...string[]] {
  if (process.getuid?.() !== 0) {
    const unshare = network === 'none' ? ['unshare', '--user', '--map-current-user', '--net', '--'] : [];
    return ['setpriv', '--pdeathsig=KILL', '--no-new-privs', '--', ...unshare, program];
  }
  const user = isOnTerminal === true ? 0 : emulatorUser();
  const script = ['sh', '-c', SCRIPT, 'confine', String(process.pid), String(user), folder, cacheRoot()];
  return ['setpriv', '--pdeathsig=KILL', '--', 'unshare', '--net', '--mount', '--', ...script, program];
}
