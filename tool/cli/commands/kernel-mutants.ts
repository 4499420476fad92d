import { standardOutput } from '../../../common/output.ts';
import { Command, Option } from 'commander';
import { MACHINES } from '../../../testbed/machine/names.ts';

const AFTER = `
Each patch in kernel-patches/mutants cuts a part of the series out and names the selftests that must fail on such a kernel. A
selftest that passes there tests less than it seems to.

Examples:
  $ wcvmm kernel mutants
  $ wcvmm kernel mutants --arch x86-amd --only type-not-exact

Exit codes: 0 every selftest failed that must, 1 one did not, 2 could not run.`;

/** `wcvmm kernel mutants`: the controls of the kernel's selftests. */
export function mutantsCommand(): Command {
  return new Command('mutants')
    .description("Show that the series' selftests fail on kernels with a part of it cut out")
    .addOption(
      new Option('--arch <architecture>', 'the architecture of the instance').choices(MACHINES).default(MACHINES[0]),
    )
    .option('--only <mutant...>', 'only these mutants, for example no-attributes')
    .addHelpText('after', AFTER)
    .action(async (options: { arch: string; only?: string[] }) => {
      const { runMutants } = await import('../../../kernel-patches/tools/mutants/index.ts');
      const results = await runMutants(options.arch, options.only, ({ mutant, selftest, failed }) => {
        const what = failed.length > 0 ? failed.join(', ') : 'nothing failed';
        standardOutput.write(`${failed.length > 0 ? 'ok  ' : 'FAIL'} ${mutant.padEnd(24)} ${selftest}: ${what}\n`);
      });
      if (results.some(({ failed }) => failed.length === 0)) process.exitCode = 1;
    });
}
