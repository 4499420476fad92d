import { WcvmmError } from '../common/errors.ts';
import { outputOf } from '../common/program.ts';
import type { EptLeaf } from './bochs/ept.ts';
import type { Monitor } from './monitor.ts';

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
  /** The instance is about to run the command. */
  up: () => void;
  /** What an emulator's debugger sees of nested paging, each time that a guest stops to have it looked at. */
  eptLeaf?: ((leaf: EptLeaf) => void) | undefined;
  /** QEMU: takes its monitor as it starts. */
  monitor?: ((monitor: Monitor) => void) | undefined;
}

/** What an emulator left when it ended. */
export interface Ended {
  /** The instance came so far as to run the command. */
  up: boolean;
  /** The command's; null if the instance did not come to the end of it. */
  exitCode: number | null;
  /** The end of the serial console, or "" where it was this terminal. */
  console: string;
  /** What the emulator itself had to say. */
  complaints: string;
}

/** Characters of a serial console that are kept: much more than a boot says, and nothing to a host. */
export const consoleLimit = 4 << 20;

/** Characters of what an emulator says about itself. */
export const complaintsLimit = 64 << 10;

export interface Emulator {
  /** When the process is gone and everything that it wrote has been read. Rejects with E_SETUP if it cannot start. */
  ended: Promise<Ended>;
  kill: () => void;
}

export function notInstalled(program: string, cause?: unknown): WcvmmError {
  return new WcvmmError('E_SETUP', `${program} could not be started; testbed/setup installs it.`, { cause });
}

/** What it prints when it is asked for its version. Throws E_SETUP where it is not installed. */
export async function askVersion({ program, versionArguments }: EmulatorProgram): Promise<string> {
  const output = await outputOf(program, versionArguments);
  if (output === null) throw notInstalled(program);
  return `${output.stdout}${output.stderr}`;
}

/** "10.0.2". Throws E_SETUP where it is not installed. */
export async function emulatorVersion(emulator: EmulatorProgram): Promise<string> {
  const found = emulator.version.exec(await askVersion(emulator))?.[1];
  if (found === undefined) throw notInstalled(emulator.program);
  return found;
}
