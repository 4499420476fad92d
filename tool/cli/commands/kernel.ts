import { standardOutput } from '../../../common/output.ts';
import { Command, Option } from 'commander';
import { allVariants, kernelArchitectures } from '../../../testbed/machine/index.ts';
import type { KernelVariant } from '../../../testbed/machine/machine.ts';
import { debCommand } from './kernel-deb.ts';
import { mutantsCommand } from './kernel-mutants.ts';
import { piecesCommand } from './kernel-pieces.ts';
import { selftestsCommand } from './kernel-selftests.ts';

interface BuildOptions {
  arch: string;
  stock?: true;
  kernel?: KernelVariant;
  all?: true;
  linuxSource?: string;
  output?: string;
}

/** `--kernel`, and `--stock` for the most common of its values; `variantOf` says which one was chosen. */
export function addKernelOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--kernel <variant>',
        'stock: without the patches. wrong-type: KVM swaps UC and WC (x86) or Device and Normal-NC (arm64), which the checks must detect. wrong-cacheable: arm64, KVM makes Normal-NC windows cacheable, the same. cacheable: arm64, a driver that makes BAR 2 cacheable. old-zap: arm64, cookies survive a reset, which the checks must detect. debug, debug-stock: with KASAN, lockdep and others. 16k, 64k: arm64, with pages of that size',
      )
        .choices(allVariants)
        .default('patched', 'patched'),
    )
    .addOption(new Option('--stock', 'the same as --kernel stock').conflicts('kernel'));
}

export function variantOf(options: { stock?: true; kernel?: KernelVariant }): KernelVariant {
  return options.stock === true ? 'stock' : (options.kernel ?? 'patched');
}

/** `wcvmm kernel`: the testbed's kernels, the patches in them, and packages with them for real machines. */
export function kernelCommand(): Command {
  return new Command('kernel')
    .description("Build the testbed's kernels; check, test and package the patches")
    .addCommand(buildCommand())
    .addCommand(checkCommand())
    .addCommand(selftestsCommand())
    .addCommand(mutantsCommand())
    .addCommand(piecesCommand())
    .addCommand(debCommand());
}

function buildCommand(): Command {
  return addKernelOptions(new Command('build'))
    .description('Build a kernel into the cache, unless it is there already, and print the path of its image')
    .addOption(
      new Option('--arch <architecture>', 'the architecture to build for')
        .choices(kernelArchitectures)
        .default(kernelArchitectures[0]),
    )
    .addOption(
      new Option(
        '--all',
        'build all kernels that the tests need and print a path a line: patched, wrong-type, on arm64 wrong-cacheable, cacheable and old-zap, and stock',
      ).conflicts(['kernel', 'stock']),
    )
    .option('--linux-source <path>', "a Linux source tree or tarball instead of Debian's; it is copied, never changed")
    .option('-o, --output <folder>', 'copy the images there, as ARCH-stock.Image and so on')
    .addHelpText(
      'after',
      '\nExamples:\n  $ wcvmm kernel build\n  $ wcvmm kernel build --all --output images\n  $ wcvmm kernel build --arch x86 --kernel wrong-type\n  $ wcvmm kernel build --linux-source ~/linux-7.3\n\nExit codes: 0 built, 2 could not build.',
    )
    .action(async (options: BuildOptions) => {
      const { buildKernels } = await import('../../../testbed/index.ts');
      const variants = options.all === true ? undefined : [variantOf(options)];
      const images = await buildKernels({
        arch: options.arch,
        variants,
        linuxSource: options.linuxSource,
        outputDir: options.output,
      });
      standardOutput.write(`${images.join('\n')}\n`);
    });
}

function checkCommand(): Command {
  return new Command('check')
    .description('Check the patch series as kernel CI does: checkpatch, sparse, kernel-doc, and a build of every patch')
    .option('--linux-source <path>', "a Linux source tree or tarball instead of Debian's")
    .addHelpText(
      'after',
      '\nTakes an hour the first time. If it is stopped, the next run continues where it was.\n\nExit codes: 0 nothing found, 1 something found, 2 could not check.',
    )
    .action(async ({ linuxSource }: { linuxSource?: string }) => {
      const { checkSeries } = await import('../../../kernel-patches/tools/check/index.ts');
      const { lines, seconds } = await checkSeries(linuxSource);
      for (const { what, result, problems, skipped } of lines) {
        standardOutput.write(
          `${problems.length > 0 ? 'FAIL' : skipped === true ? 'skip' : 'ok  '} ${what.padEnd(24)} ${result}\n`,
        );
        for (const problem of problems) standardOutput.write(`       ${problem.replaceAll('\n', '\n       ')}\n`);
      }
      standardOutput.write(`${minutes(seconds.all)} in total, ${minutes(seconds.now)} of it in this run\n`);
      if (lines.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
    });
}

function minutes(seconds: number): string {
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
