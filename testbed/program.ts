import type { WcvmmError } from '../vmm/errors.ts';

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

const tailLines = 15;

/**
 * Runs a program to its end with no standard input. It is asked to end when `signal` aborts, killed five
 * seconds later, and ends with this process.
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
    forceKillAfterDelay: 5000,
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  for await (const line of child.iterable({ from: 'all' })) {
    options.onLine?.(line);
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
  }
  const result = await child;
  options.signal?.throwIfAborted();
  if (result.failed) throw options.failure(tail.join('\n'), result);
}
