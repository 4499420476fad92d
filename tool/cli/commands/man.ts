import { Command } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { standardOutput } from '../../../common/output.ts';
import { packageVersion } from '../../../common/version.ts';

const EXAMPLES = `
Examples:
  $ wcvmm man | man -l -
  $ wcvmm man testbed run | man -l -
  $ wcvmm man --output ~/.local/share/man/man1

Exit codes: 0 printed or written, 2 an error.`;

export function manCommand(): Command {
  return new Command('man')
    .description('Print the manual page of wcvmm or of one of its commands')
    .argument('[command...]', 'the command; none = wcvmm itself')
    .option('-o, --output <folder>', 'write the pages of all commands to a folder instead')
    .addHelpText('after', EXAMPLES)
    .action(async (words: readonly string[], { output }: { output?: string }, command: Command) => {
      const [{ defineCommand, everyCommand }, { manPage, pageName }] = await Promise.all([
        import('../help/definitions.ts'),
        import('../help/man.ts'),
      ]);
      const commands = everyCommand(defineCommand(command.parent ?? command));
      if (output !== undefined) {
        const [{ mkdir, writeFile }, { join }] = await Promise.all([import('node:fs/promises'), import('node:path')]);
        await mkdir(output, { recursive: true });
        await Promise.all(
          commands.map((one) => writeFile(join(output, `${pageName(one)}.1`), manPage(one, packageVersion()))),
        );
        return;
      }
      const wanted = commands.find(({ path }) => path.slice(1).join(' ') === words.join(' '));
      if (wanted === undefined)
        throw new WcvmmError(
          'E_USAGE',
          `there is no command "${words.join(' ')}"; expected one of: ${commands
            .slice(1)
            .map(({ path }) => path.slice(1).join(' '))
            .join(', ')}.`,
        );
      standardOutput.write(manPage(wanted, packageVersion()));
    });
}
