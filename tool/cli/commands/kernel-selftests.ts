import { Command, Option } from 'commander';
import { standardOutput } from '../../../common/output.ts';
import { allVariants } from '../../../testbed/machine/index.ts';
import { MACHINES } from '../../../testbed/machine/names.ts';
import type { KernelVariant } from '../../../testbed/machine/machine.ts';
import { compareResults, totalsOf } from '../../../kernel-patches/tools/selftests/compare.ts';
import type { Suite } from '../../../kernel-patches/tools/selftests/programs.ts';
import { comparisonText, kernelText } from '../../../kernel-patches/tools/selftests/text.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { showJson } from './json.ts';

interface SelftestOptions {
  arch: string;
  kernel: KernelVariant[];
  suite?: Suite[];
  only?: string[];
  cpu?: string;
  linuxSource?: string;
  output?: string;
  json?: string | true;
}

const AFTER = `
The programs are those of the patched tree (tools/testing/selftests), on every kernel. With two kernels, each test must have the
same result on both, or pass on the second where the first has nothing to test; anything else is a difference. With one kernel,
nothing may fail. A warning in the kernel's log is a failure of the program that ran then.

Examples:
  $ wcvmm kernel selftests
  $ wcvmm kernel selftests --arch x86-amd --kernel patched --suite vfio
  $ wcvmm kernel selftests --kernel debug-stock debug --output logs
  $ wcvmm kernel selftests --kernel cacheable --cpu neoverse-n1 --only vfio_mmap_attr_test

Exit codes: 0 nothing failed, or no difference; 1 a failure or a difference; 2 could not run.`;

/** `wcvmm kernel selftests`: the kernel's own tests of what the series changes, on kernels with it and without. */
export function selftestsCommand(): Command {
  return new Command('selftests')
    .description("Run the kernel's own selftests of VFIO, KVM and iommufd in a testbed, and compare two kernels")
    .addOption(
      new Option('--arch <architecture>', 'the architecture of the instance').choices(MACHINES).default(MACHINES[0]),
    )
    .addOption(
      new Option('--kernel <variant...>', 'one kernel, or two to compare')
        .choices(allVariants)
        .default(['stock', 'patched'], 'stock patched'),
    )
    .addOption(new Option('--suite <name...>', 'only these suites').choices(['vfio', 'kvm', 'iommufd']))
    .option('--only <program...>', 'only these programs, for example vfio_pci_mmap_cookie_test')
    .option('--cpu <model>', 'a CPU model of the emulator, for example neoverse-n1, which has no FWB')
    .option('--linux-source <path>', "a Linux source tree or tarball instead of Debian's")
    .option('-o, --output <folder>', 'write all output of the programs and all kernel logs there, as ARCH-KERNEL.log')
    .option('--json [file]', 'write every result as JSON, to standard output or a file')
    .addHelpText('after', AFTER)
    .action(async (options: SelftestOptions) => {
      const [first, second, ...more] = options.kernel;
      if (first === undefined || more.length > 0)
        throw new WcvmmError(
          'E_USAGE',
          `--kernel takes one kernel, or two to compare; ${options.kernel.length} were given.`,
        );
      const { runSelftests } = await import('../../../kernel-patches/tools/selftests/index.ts');
      const runs = await runSelftests({
        arch: options.arch,
        kernels: options.kernel,
        suites: options.suite,
        programs: options.only,
        cpu: options.cpu,
        linuxSource: options.linuxSource,
        outputDir: options.output,
      });
      const [before, after] = runs;
      const comparison =
        second === undefined || before === undefined || after === undefined
          ? null
          : compareResults(before.results, after.results);
      const failed =
        comparison === null ? runs.some(({ results }) => totalsOf(results).fail > 0) : comparison.different.length > 0;
      const value = {
        arch: options.arch,
        kernels: runs.map(({ kernel, results }) => ({ kernel, totals: totalsOf(results), results })),
        comparison,
      };
      if (!(await showJson(options.json, value))) {
        for (const run of runs) standardOutput.write(kernelText(options.arch, run));
        if (comparison !== null && second !== undefined)
          standardOutput.write(comparisonText(first, second, comparison));
      }
      process.exitCode = failed ? 1 : 0;
    });
}
