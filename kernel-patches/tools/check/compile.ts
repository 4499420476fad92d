import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { exists } from '../../../common/cache.ts';
import { runProgram } from '../../../common/program.ts';
import type { CheckArch } from './targets.ts';

/**
 * Over allmodconfig, which has every driver that VFIO is used by: what only costs time, or what makes an old
 * compiler's warnings errors. CONFIG_PROVE_LOCKING stays: it makes lockdep_assert_held() more than a comment.
 */
const fragment = `# CONFIG_WERROR is not set
CONFIG_DEBUG_INFO_NONE=y
# CONFIG_KASAN is not set
# CONFIG_KCSAN is not set
# CONFIG_UBSAN is not set
# CONFIG_KCOV is not set
# CONFIG_GCOV_KERNEL is not set
# CONFIG_FUNCTION_TRACER is not set
# CONFIG_MODULE_SIG is not set
# CONFIG_MODVERSIONS is not set
# CONFIG_GCC_PLUGINS is not set
# CONFIG_RUST is not set
# CONFIG_IKHEADERS is not set
`;

/** A folder for object files of one architecture, beside the tree that they are made from. */
export class Objects {
  readonly #tree: string;
  readonly #folder: string;
  readonly #arch: CheckArch;
  readonly #signal: AbortSignal;

  constructor(tree: string, folder: string, arch: CheckArch, signal: AbortSignal) {
    this.#tree = tree;
    this.#folder = folder;
    this.#arch = arch;
    this.#signal = signal;
  }

  /**
   * Compiles `targets`; returns every line that make wrote, those of an earlier try that was stopped included:
   * what it compiled is not compiled again. `onFile` is called for each file. Throws E_KERNEL_BUILD.
   */
  async make(targets: readonly string[], onFile: (count: number) => void): Promise<string[]> {
    await this.#configure();
    const unread = join(this.#folder, 'unread');
    const before = await readFile(unread, 'utf8').catch(() => '');
    const lines = await this.#run([`-j${availableParallelism()}`, ...targets], onFile, async (soFar) =>
      appendFile(unread, `${soFar.join('\n')}\n`),
    );
    await rm(unread, { force: true });
    return [...before.split('\n'), ...lines];
  }

  /** Lets sparse, by its command, look at the sources of `targets`; what is out of date is compiled as well. */
  async sparse(command: string, targets: readonly string[], onFile: (count: number) => void): Promise<string[]> {
    await this.#configure();
    return this.#run(['C=2', `CHECK=${command}`, `-j${availableParallelism()}`, ...targets], onFile);
  }

  async #configure(): Promise<void> {
    if (await exists(join(this.#folder, '.config'))) return;
    await mkdir(this.#folder, { recursive: true });
    const path = join(this.#folder, 'fragment');
    await writeFile(path, fragment);
    await this.#run([`KCONFIG_ALLCONFIG=${path}`, 'allmodconfig'], () => {});
  }

  // W=1 without its look at the comments of each file: kernelDoc() has one for all of them.
  async #run(
    args: readonly string[],
    onFile: (count: number) => void,
    onInterruption: (lines: string[]) => Promise<void> = async () => {},
  ): Promise<string[]> {
    const { arch, crossCompile } = this.#arch;
    const lines: string[] = [];
    let count = 0;
    await runProgram(
      'nice',
      [
        'make',
        '-C',
        this.#tree,
        `O=${this.#folder}`,
        `ARCH=${arch}`,
        `CROSS_COMPILE=${crossCompile}`,
        'W=1',
        'cmd_checkdoc=',
        ...args,
      ],
      {
        signal: this.#signal,
        env: { LC_ALL: 'C', MAKEFLAGS: undefined, MAKELEVEL: undefined },
        onLine: (line) => {
          lines.push(line.replaceAll(`${this.#tree}/`, ''));
          if (/^ {2}[A-Z]/.test(line)) onFile((count += 1));
        },
        failure: (tail, cause) =>
          new WcvmmError(
            'E_KERNEL_BUILD',
            `A compile for ${arch} failed.\n${lines.filter((line) => /\berror\b/i.test(line)).join('\n') || tail}`,
            { cause },
          ),
      },
    ).catch(async (error: unknown) => {
      if (this.#signal.aborted) await onInterruption(lines);
      throw error;
    });
    return lines;
  }
}

/** What kernel-doc says of the comments in `files`, every line. Throws E_SETUP if it does not run. */
export async function kernelDoc(tree: string, files: readonly string[], signal: AbortSignal): Promise<string[]> {
  const lines: string[] = [];
  await runProgram('python3', ['tools/docs/kernel-doc', '-none', ...files], {
    signal,
    cwd: tree,
    onLine: (line) => lines.push(line),
    failure: (tail, cause) => new WcvmmError('E_SETUP', `The kernel's kernel-doc did not run.\n${tail}`, { cause }),
  });
  return lines;
}
