import { Command, Option } from 'commander';
import { MACHINES } from '../../../testbed/machine/names.ts';

const AFTER = `
kernel-patches/pieces has the series in pieces that are posted one by one. Each is built with those that it is on and no others,
booted, and tested with the selftests of VFIO and KVM that are in Linux or in these pieces; nothing may fail.

Examples:
  $ wcvmm kernel pieces
  $ wcvmm kernel pieces --arch x86-amd --only F-kvm-x86

Exit codes: 0 every piece works, 1 a selftest failed, 2 could not build or run.`;

/** `wcvmm kernel pieces`: what is posted works alone. */
export function piecesCommand(): Command {
  return new Command('pieces')
    .description('Show that each piece of the series works without the rest')
    .addOption(
      new Option('--arch <architecture>', 'the architecture of the instance').choices(MACHINES).default(MACHINES[0]),
    )
    .option('--only <piece...>', 'only these pieces, for example A-fixes')
    .addHelpText('after', AFTER)
    .action(async (options: { arch: string; only?: string[] }) => {
      const { runPieces } = await import('../../../kernel-patches/tools/pieces/index.ts');
      const results = await runPieces(options.arch, options.only, ({ piece, passed, skipped, failed }) => {
        const counts = `${passed} pass, ${skipped} skip${failed.length > 0 ? `, ${failed.length} fail` : ''}`;
        process.stdout.write(`${failed.length > 0 ? 'FAIL' : 'ok  '} ${piece.padEnd(16)} ${counts}\n`);
        for (const test of failed) process.stdout.write(`     ${test}\n`);
      });
      if (results.some(({ failed }) => failed.length > 0)) process.exitCode = 1;
    });
}
