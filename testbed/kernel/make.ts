import { WcvmmError } from '../../common/errors.ts';
import { runProgram } from '../../common/program.ts';

export interface Make {
  tree: string;
  /** `ARCH=` and `CROSS_COMPILE=` of the kernel's Makefile. */
  arch: string;
  crossCompile: string;
  env: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/** Runs make in a kernel tree. Throws E_KERNEL_BUILD with the compiler's errors, E_INTERRUPTED. */
export async function make(
  { tree, arch, crossCompile, env, signal }: Make,
  targets: readonly string[],
  onLine: (line: string) => void = () => {},
): Promise<void> {
  const errors: string[] = [];
  await runProgram('nice', ['make', '-C', tree, `ARCH=${arch}`, `CROSS_COMPILE=${crossCompile}`, ...targets], {
    signal,
    // A make above us has no say.
    env: { LC_ALL: 'C', MAKEFLAGS: undefined, MAKELEVEL: undefined, ...env },
    onLine: (line) => {
      if (/\berror\b|undefined reference/i.test(line) && errors.length < 20) errors.push(line);
      onLine(line);
    },
    failure: (tail, cause) =>
      new WcvmmError(
        'E_KERNEL_BUILD',
        `The kernel could not be built.\n${errors.length > 0 ? errors.join('\n') : tail}`,
        { cause },
      ),
  });
}

/** Whether a line of make's is one of those that kbuild prints for each file that it makes. */
export function isStep(line: string): boolean {
  return /^ {2}[A-Z]/.test(line);
}
