/**
 * Takes from this process, in all its threads, what a VMM needs no more once everything is open. There is no way back.
 *
 * The order matters: each step needs what the next one takes.
 */
import { libcPort } from '../sys/libc.ts';
import {
  dropBoundingSet,
  dropCapabilities,
  dropUser,
  filterAllThreads,
  hasSeccompFilter,
  landlockAbi,
  liftMemlock,
  restrictByLandlock,
  setNoNewPrivileges,
  setUndumpable,
} from '../sys/sandbox-calls.ts';
import { filterProgram } from './filter.ts';
import { ALL_THREADS, rulesetOf } from './landlock.ts';

/** Who has no rights: files of this user's are nobody's. */
export const NOBODY = 65_534;

/** What came of each part. */
export interface Sandbox {
  /** Who the process is now. */
  readonly user: number;
  /** The filter of system calls is in force, in every thread. */
  readonly seccomp: boolean;
  /** Files by name and TCP are refused in all threads, or in the main one and those that it starts later; null: this kernel has none. */
  readonly landlock: 'all threads' | 'main thread' | null;
}

/** What enterSandbox could do in this process. */
export function possibleSandbox(): { readonly seccomp: boolean; readonly landlockAbi: number } {
  return { seccomp: hasSeccompFilter(), landlockAbi: landlockAbi() };
}

/** Throws SysError where the kernel refuses a part that it has. */
export function enterSandbox(): Sandbox {
  const { seccomp, landlockAbi: abi } = possibleSandbox();
  setNoNewPrivileges();
  const ruleset = rulesetOf(abi);
  if (ruleset !== null) restrictByLandlock(ruleset.attributes, ruleset.flags, (fd) => libcPort.close(fd));
  dropBoundingSet();
  if (process.geteuid?.() === 0) {
    liftMemlock();
    dropUser(NOBODY);
  }
  dropCapabilities();
  setUndumpable();
  if (seccomp) filterAllThreads(filterProgram(process.arch === 'arm64' ? 'arm64' : 'x64', process.pid));
  return {
    user: process.geteuid?.() ?? NOBODY,
    seccomp,
    landlock: ruleset === null ? null : (ruleset.flags & ALL_THREADS) !== 0 ? 'all threads' : 'main thread',
  };
}
