import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { WcvmmError } from './errors.ts';

export interface ProgramOptions {
  signal?: AbortSignal | undefined;
  cwd?: string;
  /** Added to the environment; `undefined` removes a variable. */
  env?: Record<string, string | undefined>;
  /** Every line of standard output and standard error, as it comes. */
  onLine?: (line: string) => void;
  /** Makes the error to throw when the program fails; `tail` is the end of what it wrote. */
  failure: (tail: string, cause: unknown) => WcvmmError;
}

/** A program's output and how it ended; `exitCode` is null if a signal ended it. */
export interface Output {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

const tailLines = 15;

const secondsToEnd = 5;

/** Runs a program that ends soon, with no standard input. Returns null if it cannot be started: it is not installed. */
export async function outputOf(program: string, args: readonly string[], cwd?: string): Promise<Output | null> {
  const { execa } = await import('execa');
  const { exitCode, signal, stdout, stderr } = await execa(program, args, {
    stdin: 'ignore',
    reject: false,
    stripFinalNewline: false,
    ...(cwd === undefined ? {} : { cwd }),
  });
  return exitCode === undefined && signal === undefined ? null : { exitCode: exitCode ?? null, stdout, stderr };
}

/**
 * Runs a program to its end with no standard input, in a process group of its own. When `signal` aborts, all of the group is
 * asked to end, and killed five seconds later: what make has started would go on without make. The group ends with this
 * process too.
 */
export async function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<void> {
  // execa costs 70 ms to load: only who really builds or downloads something pays for it.
  const { execa } = await import('execa');
  options.signal?.throwIfAborted();
  const tail: string[] = [];
  const child = execa(program, args, {
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const end = (signal: NodeJS.Signals): void => signalGroup(child.pid, signal);
  const guard = child.pid === undefined ? null : guardGroup(child.pid);
  let last: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    end('SIGTERM');
    last = setTimeout(end, secondsToEnd * 1000, 'SIGKILL');
  };
  const onExit = (): void => end('SIGKILL');
  options.signal?.addEventListener('abort', onAbort);
  process.on('exit', onExit);
  try {
    for await (const line of child.iterable({ from: 'all' })) {
      options.onLine?.(line);
      tail.push(line);
      if (tail.length > tailLines) tail.shift();
    }
    const result = await child;
    options.signal?.throwIfAborted();
    if (result.failed) throw options.failure(tail.join('\n'), result);
  } finally {
    guard?.kill('SIGKILL');
    clearTimeout(last);
    options.signal?.removeEventListener('abort', onAbort);
    process.removeListener('exit', onExit);
  }
}

/**
 * Kills a process group when this process is gone, even if it was killed itself: the guard's standard input then ends. It is killed when there
 * is nothing to guard any more.
 */
function guardGroup(leader: number): ChildProcess {
  const guard = spawn('sh', ['-c', 'read -r _; kill -s KILL -- "-$1"', 'guard', String(leader)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => {});
  guard.unref();
  return guard;
}

/** Nothing happens if the group has ended, or never began. */
function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
