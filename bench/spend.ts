/** What a program spends. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../common/paths.ts';
import { compileC } from '../testbed/compile.ts';

export const CLI = join(projectRoot, 'dist/tool/cli/cli.js');

/** What is only for this environment's Node and doubles the time that it takes to start. */
export const environment: NodeJS.ProcessEnv = { ...process.env, NODE_EXTRA_CA_CERTS: undefined };

const run = promisify(execFile);

/** Compiles one of bench/c. Returns the program's path. */
export function program(name: string): Promise<string> {
  const source = join(projectRoot, 'bench/c', `${name}.c`);
  return compileC({ compiler: 'gcc', source, flags: [], signal: new AbortController().signal });
}

export interface Spent {
  /** Wall-clock time from fork to exit, milliseconds. */
  readonly ms: number;
  /** CPU time, milliseconds. */
  readonly cpu: number;
  /** Peak resident memory, MiB. */
  readonly peak: number;
}

/** Throws where it ends with another code than 0. */
export async function spentBy(words: readonly string[]): Promise<Spent> {
  const { stdout } = await run(await program('spend'), words, { env: environment, cwd: projectRoot });
  const [nanoseconds = 0, ofCpu = 0, kibibytes = 0] = stdout.trim().split(' ').map(Number);
  return { ms: nanoseconds / 1e6, cpu: ofCpu / 1e6, peak: kibibytes / 1024 };
}

/** Standard output of a program. */
export async function outputOf(file: string, args: readonly string[]): Promise<string> {
  return (await run(file, args, { env: environment, cwd: projectRoot })).stdout;
}
