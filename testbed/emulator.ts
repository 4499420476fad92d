import { spawnSync } from 'node:child_process';
import { WcvmmError } from '../common/errors.ts';
import type { EptLeaf } from './bochs/ept.ts';

export interface EmulatorProgram {
  /** "qemu". */
  readonly name: string;
  readonly program: string;
  /** Makes it print its version, which `version` finds in the output. */
  readonly versionArguments: readonly string[];
  readonly version: RegExp;
}

export interface Listeners {
  stdout: (chunk: Uint8Array) => void;
  stderr: (chunk: Uint8Array) => void;
  /** All that the instance's first process has said so far: "up", then "exit CODE", a line each. */
  control: (text: string) => void;
  /** What an emulator's debugger sees of nested paging, each time that a guest stops to have it looked at. */
  eptLeaf?: ((leaf: EptLeaf) => void) | undefined;
}

/** What an emulator left when it ended. */
export interface Ended {
  control: string;
  /** The serial console, or "" where it was this terminal. */
  console: string;
  /** What the emulator itself had to say. */
  complaints: string;
}

export interface Emulator {
  /** When the process is gone and everything that it wrote has been read. Rejects with E_SETUP if it cannot start. */
  ended: Promise<Ended>;
  kill: () => void;
}

/** True once the instance's first process has said that it is about to run the command. */
export function isUp(control: string): boolean {
  return control.startsWith('up\n');
}

/**
 * The command line that starts `program` without a network, and so that it dies with us even when we are killed
 * with no chance to clean up. An emulator that needs no network is `best-effort` about losing it: only root, or a
 * user who may make user namespaces, can take it away.
 */
export function confined(program: string, network: 'none' | 'best-effort'): [string, ...string[]] {
  const isRoot = process.getuid?.() === 0;
  const unshare = isRoot
    ? ['unshare', '--net', '--']
    : network === 'none'
      ? ['unshare', '--user', '--map-current-user', '--net', '--']
      : [];
  return ['setpriv', '--pdeathsig', 'KILL', '--', ...unshare, program];
}

export function notInstalled(program: string, cause?: unknown): WcvmmError {
  return new WcvmmError('E_SETUP', `${program} could not be started; testbed/setup installs it.`, { cause });
}

/** What it says when it is asked for its version. Throws E_SETUP where it is not installed. */
export function askVersion({ program, versionArguments }: EmulatorProgram): string {
  const { stdout, stderr, error } = spawnSync(program, versionArguments, { encoding: 'utf8' });
  if (error !== undefined) throw notInstalled(program, error);
  return `${stdout}${stderr}`;
}

/** "10.0.2". Throws E_SETUP where it is not installed. */
export function emulatorVersion(emulator: EmulatorProgram): string {
  const found = emulator.version.exec(askVersion(emulator))?.[1];
  if (found === undefined) throw notInstalled(emulator.program);
  return found;
}
