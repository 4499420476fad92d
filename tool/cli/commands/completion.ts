import { standardOutput } from '../../../common/output.ts';
import { Argument, Command } from 'commander';
import type { CommandDefinition } from '../help/definitions.ts';

type Shell = 'bash' | 'zsh' | 'fish';

const SHELLS: Readonly<Record<Shell, () => Promise<(program: CommandDefinition) => string>>> = {
  bash: async () => (await import('../help/bash.ts')).bashCompletion,
  zsh: async () => (await import('../help/zsh.ts')).zshCompletion,
  fish: async () => (await import('../help/fish.ts')).fishCompletion,
};

const EXAMPLES = `
Examples:
  $ source <(wcvmm completion bash)
  $ wcvmm completion zsh > "\${fpath[1]}/_wcvmm"
  $ wcvmm completion fish > ~/.config/fish/completions/wcvmm.fish

Exit codes: 0 printed, 2 unknown shell.`;

export function completionCommand(): Command {
  return new Command('completion')
    .description('Print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .addHelpText('after', EXAMPLES)
    .action(async (shell: Shell, _options: unknown, command: Command) => {
      const { defineCommand } = await import('../help/definitions.ts');
      const write = await SHELLS[shell]();
      standardOutput.write(write(defineCommand(command.parent ?? command)));
    });
}
