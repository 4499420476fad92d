import { standardOutput } from '../../../common/output.ts';
import { Command, Option } from 'commander';
import { packageArchitectures } from '../../../kernel-patches/tools/deb/targets.ts';

interface DebOptions {
  config?: string;
  arch?: string;
  output: string;
  linuxSource?: string;
}

const AFTER = `
The configuration is used as it is, except that what wcvmm needs is switched on, and debug information and the signing keys of
the original build are left out; each change is printed. An interrupted build continues where it stopped.

Examples:
  $ wcvmm kernel deb
  $ wcvmm kernel deb --output packages
  $ wcvmm kernel deb --arch arm64 --config config-of-the-instance
  $ wcvmm kernel deb --linux-source ~/linux-7.3

Exit codes: 0 built, 2 could not build.`;

/** `wcvmm kernel deb`: kernel packages with the series, for a real machine. */
export function debCommand(): Command {
  return new Command('deb')
    .description("Build Debian packages of a patched kernel from a machine's own configuration, and print their paths")
    .option(
      '--config <file>',
      "the machine's kernel configuration (default: /boot/config-RELEASE of the running kernel)",
    )
    .addOption(
      new Option('--arch <architecture>', "the architecture to build for (default: this machine's)").choices(
        packageArchitectures,
      ),
    )
    .option('-o, --output <folder>', 'folder for the packages', '.')
    .option('--linux-source <path>', "a Linux source tree or tarball instead of Debian's; it is copied, never changed")
    .addHelpText('after', AFTER)
    .action(async (options: DebOptions) => {
      const { buildPackages } = await import('../../../kernel-patches/tools/deb/index.ts');
      const packages = await buildPackages({
        arch: options.arch,
        config: options.config,
        linuxSource: options.linuxSource,
        outputDir: options.output,
        onChanges: (changes, config) => {
          process.stderr.write(`wcvmm: changed in ${config}:\n`);
          for (const { option, from, to, why } of changes)
            process.stderr.write(`  ${option}: ${from} -> ${to} (${why})\n`);
        },
      });
      standardOutput.write(`${packages.join('\n')}\n`);
      process.stderr.write(
        `wcvmm: on the machine, as root: dpkg -i ${packages.map((path) => path.slice(path.lastIndexOf('/') + 1)).join(' ')} && reboot\n`,
      );
    });
}
