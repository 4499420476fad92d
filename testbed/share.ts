import { constants } from 'node:fs';
import { copyFile, cp, lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { WcvmmError } from '../common/errors.ts';
import { temporaryFolder } from '../common/temporary.ts';
import { EMULATOR_USERS } from './confine.ts';

/** What runs inside the instance. */
export interface Command {
  /** Program and arguments; none = an interactive shell. */
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Runs on the console of the instance, which is then this terminal. */
  interactive: boolean;
}

/** One word of a POSIX shell. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The script that the instance's first process runs. */
export function commandScript(command: Command): string {
  const environment = Object.entries(command.env).map(([name, value]) => `export ${name}=${shellQuote(value)}\n`);
  const words = command.args.length === 0 ? ['sh', '-l'] : command.args;
  return `${environment.join('')}exec ${words.map(shellQuote).join(' ')}\n`;
}

/** The host's side of a session's /session. */
export interface Share {
  path: string;
  /** Modification time of each input's copy, ns, by its name: what the command left alone does not come back. */
  inputs: ReadonlyMap<string, bigint>;
}

/**
 * A fresh folder that the instance mounts as /session: `command`, the script; `work`, the command's working
 * directory with copies of `inputs`. Throws E_USAGE for an input that is no file or whose name comes twice.
 */
export async function prepareShare(command: Command, inputs: readonly string[]): Promise<Share> {
  const path = await temporaryFolder('session', EMULATOR_USERS);
  const times = new Map<string, bigint>();
  try {
    const work = join(path, 'work');
    await mkdir(work);
    await writeFile(join(path, 'command'), commandScript(command));
    if (command.interactive) await writeFile(join(path, 'interactive'), '');
    for (const input of inputs) times.set(basename(input), await addInput(input, join(work, basename(input))));
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  }
  return { path, inputs: times };
}

async function addInput(input: string, copy: string): Promise<bigint> {
  try {
    await copyFile(input, copy, constants.COPYFILE_EXCL);
    return (await lstat(copy, { bigint: true })).mtimeNs;
  } catch (error) {
    throw new WcvmmError(
      'E_USAGE',
      `The input ${input} could not be copied: it must be a readable file, and no two inputs may have the same name.`,
      { cause: error },
    );
  }
}

/**
 * Copies what the command wrote to its working directory to `outputDir`, over what is there. Only files and folders: a link made
 * inside could name any file of the host.
 */
export async function collectOutput(share: Share, outputDir: string): Promise<void> {
  const work = join(share.path, 'work');
  if ((await readdir(work)).length === 0) return;
  await cp(work, outputDir, {
    recursive: true,
    force: true,
    filter: async (source) => (await lstat(source)).isDirectory() || isOutput(share, source),
  });
}

/** The files that `collectOutput` would copy, relative to the working directory, sorted. */
export async function outputFiles(share: Share): Promise<string[]> {
  const work = join(share.path, 'work');
  const files: string[] = [];
  for (const name of await readdir(work, { recursive: true }))
    if (await isOutput(share, join(work, name))) files.push(name);
  return files.toSorted();
}

async function isOutput({ path, inputs }: Share, file: string): Promise<boolean> {
  const found = await lstat(file, { bigint: true });
  return found.isFile() && inputs.get(relative(join(path, 'work'), file)) !== found.mtimeNs;
}

export async function removeShare(share: Share): Promise<void> {
  await rm(share.path, { recursive: true, force: true });
}
